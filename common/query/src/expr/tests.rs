use super::*;
use bson::{RawBson, RawDocumentBuf, bson, doc};
use types::Timestamp;

#[test]
fn the_tables_are_sorted_and_no_name_is_twice() {
    let mut names = Vec::new();
    for family in FAMILIES {
        assert!(family.is_sorted_by(|a, b| a.name < b.name), "{:?}", family.first().map(|row| row.name));
        names.extend(family.iter().map(|row| row.name));
    }
    names.sort_unstable();
    assert!(names.is_sorted_by(|a, b| a < b), "a name is in two families");
}

fn document() -> RawDocumentBuf {
    RawDocumentBuf::try_from(&doc! {
        "_id": 1, "a": 5, "b": 2.5, "l": 7i64, "s": "Hello, Wörld", "n": Bson::Null, "t": true,
        "arr": [3, 1, 2], "docs": [{"x": 1, "y": "p"}, {"x": 2}, {"z": 3}], "o": {"p": {"q": 9}, "r": [{"q": 1}]},
        "d": bson::DateTime::from_millis(1_600_000_000_123), "e": [], "far": bson::DateTime::from_millis(i64::MAX),
        "past": bson::DateTime::from_millis(i64::MIN), "big": i64::MAX, "small": i64::MIN,
    })
    .unwrap()
}

fn context() -> ParseContext {
    let vars = RawDocumentBuf::try_from(&doc! { "v": 42, "w": "$a", "doc": {"k": "x"} }).unwrap();
    ParseContext::at(1_700_000_000_000).with_let(Some(vars)).with_cluster_time(Some(Timestamp::new(7, 8)))
}

fn evaluate(expression: Bson) -> Result<Value, Fault> {
    let ctx = context();
    let raw = RawBson::try_from(expression).unwrap();
    let expr = Expr::parse(raw.as_raw_bson_ref(), &Variables::from_context(&ctx)?, &ctx)?;
    expr.eval(&Env::new(&document()))
}

#[track_caller]
fn check(expression: Bson, expected: Bson) {
    let shown = expression.to_string();
    // By type too: 1 and 1.0 are not the same answer.
    assert_eq!(evaluate(expression).map_err(|fault| fault.to_string()), Ok(Some(expected)), "{shown}");
}

#[track_caller]
fn missing(expression: Bson) {
    assert_eq!(evaluate(expression), Ok(None));
}

#[track_caller]
fn refused(expression: Bson, code: i32) {
    let shown = expression.to_string();
    match evaluate(expression) {
        Ok(value) => panic!("{shown} gave {value:?}"),
        Err(fault) => assert_eq!(fault.code.number(), code, "{shown}: {fault}"),
    }
}

#[test]
fn paths_and_variables() {
    check(bson!("$a"), bson!(5));
    check(bson!("$o.p.q"), bson!(9));
    check(bson!("$docs.x"), bson!([1, 2]));
    check(bson!("$o.r.q"), bson!([1]));
    check(bson!("$$ROOT.a"), bson!(5));
    check(bson!("$$CURRENT.o.p"), bson!({"q": 9}));
    check(bson!("$$v"), bson!(42));
    check(bson!("$$w"), bson!("$a"));
    check(bson!("$$doc.k"), bson!("x"));
    check(bson!("$$NOW"), Bson::DateTime(bson::DateTime::from_millis(1_700_000_000_000)));
    check(bson!("$$CLUSTER_TIME"), Bson::Timestamp(bson::Timestamp { time: 7, increment: 8 }));
    check(bson!("plain"), bson!("plain"));
    check(bson!({"$literal": "$a"}), bson!("$a"));
    check(
        bson!({"x": "$a", "y": "$nope", "z": {"w": ["$nope", 1]}}),
        bson!({"x": 5, "z": {"w": [Bson::Null, 1]}}),
    );
    check(bson!({"$let": {"vars": {"x": "$a", "y": 1}, "in": {"$add": ["$$x", "$$y"]}}}), bson!(6));
    check(bson!({"$let": {"vars": {"CURRENT": "$o"}, "in": "$p.q"}}), bson!(9));
    check(bson!({"$let": {"vars": {"x": {"k": [{"m": 3}]}}, "in": "$$x.k.m"}}), bson!([3]));
    missing(bson!("$nope"));
    missing(bson!("$a.b"));
    missing(bson!("$$REMOVE"));
    missing(bson!("$docs.x.y.0.1").as_str().map_or(Bson::Null, |_| bson!("$a.x.y")));
    refused(bson!("$$nope"), 17276);
    refused(bson!("$"), 16872);
    refused(bson!("$a..b"), 15998);
    refused(bson!("$a."), 40353);
    refused(bson!({"$let": {"vars": {"X": 1}, "in": 1}}), 9);
    refused(bson!({"$foo": 1}), 168);
    refused(bson!({"$add": 1, "x": 2}), 15983);
    refused(bson!({"a.b": 1}), 16412);
    refused(bson!({"$function": {}}), 238);
    refused(bson!({"$meta": "textScore"}), 238);
    refused(bson!({"$eq": [1]}), 16020);
    refused(bson!({"$slice": [1]}), 28667);
}

#[test]
fn a_let_is_evaluated_once() {
    let vars =
        RawDocumentBuf::try_from(&doc! {"a": {"$add": [1, 2]}, "b": {"$literal": "$x"}, "c": "$$a"}).unwrap();
    let expected = RawDocumentBuf::try_from(&doc! {"a": 3, "b": "$x", "c": 3}).unwrap();
    assert_eq!(evaluate_let(&vars, &ParseContext::default()), Ok(expected));
    let wrong = RawDocumentBuf::try_from(&doc! {"Upper": 1}).unwrap();
    assert_eq!(evaluate_let(&wrong, &ParseContext::default()).unwrap_err().code.number(), 9);
}

#[test]
fn arithmetic() {
    check(bson!({"$add": [1, 2]}), bson!(3));
    check(bson!({"$add": [i32::MAX, 1]}), bson!(2_147_483_648i64));
    check(bson!({"$add": ["$big", 1]}), bson!(9_223_372_036_854_775_808.0));
    check(bson!({"$add": ["$l", 1]}), bson!(8i64));
    check(bson!({"$add": ["$a", "$b"]}), bson!(7.5));
    check(bson!({"$add": ["$a", "$n"]}), Bson::Null);
    check(bson!({"$add": []}), bson!(0));
    check(bson!({"$add": ["$d", 77]}), Bson::DateTime(bson::DateTime::from_millis(1_600_000_000_200)));
    check(bson!({"$subtract": ["$d", 123]}), Bson::DateTime(bson::DateTime::from_millis(1_600_000_000_000)));
    check(bson!({"$subtract": ["$d", "$d"]}), bson!(0i64));
    check(bson!({"$multiply": [2, 3, 2.5]}), bson!(15.0));
    check(bson!({"$divide": [7, 2]}), bson!(3.5));
    check(bson!({"$mod": [-7, 3]}), bson!(-1));
    check(bson!({"$mod": ["$small", -1]}), bson!(0i64));
    check(bson!({"$abs": -5}), bson!(5));
    check(bson!({"$ceil": 2.1}), bson!(3.0));
    check(bson!({"$floor": -2.1}), bson!(-3.0));
    check(bson!({"$round": [2.675, 2]}), bson!(2.68));
    check(bson!({"$round": [25, -1]}), bson!(20));
    check(bson!({"$trunc": [-2.7]}), bson!(-2.0));
    check(bson!({"$pow": [2, 10]}), bson!(1024));
    check(bson!({"$pow": [2, 40]}), bson!(1_099_511_627_776i64));
    check(bson!({"$pow": [2, -1]}), bson!(0.5));
    check(bson!({"$pow": [-1, i64::MIN]}), bson!(1i64));
    check(bson!({"$sqrt": 16}), bson!(4.0));
    check(bson!({"$exp": 0}), bson!(1.0));
    check(bson!({"$ln": 1}), bson!(0.0));
    check(bson!({"$log": [8, 2]}), bson!(3.0));
    check(bson!({"$log10": 1000}), bson!(3.0));
    check(bson!({"$bitAnd": [6, 3]}), bson!(2));
    check(bson!({"$bitOr": [6, 1i64]}), bson!(7i64));
    check(bson!({"$bitXor": [6, 3]}), bson!(5));
    check(bson!({"$bitNot": 0}), bson!(-1));
    refused(bson!({"$add": ["$s", 1]}), 14);
    refused(bson!({"$add": ["$d", "$d"]}), 16612);
    refused(bson!({"$add": ["$far", 1]}), 15);
    refused(bson!({"$subtract": ["$past", "$far"]}), 15);
    refused(bson!({"$subtract": [1, "$d"]}), 14);
    refused(bson!({"$divide": [1, 0]}), 2);
    refused(bson!({"$mod": [1, 0]}), 16610);
    refused(bson!({"$abs": "$small"}), 28680);
    refused(bson!({"$sqrt": -1}), 28714);
    refused(bson!({"$ln": 0}), 28766);
    refused(bson!({"$pow": [0, -1]}), 28764);
    refused(bson!({"$round": [1.5, 101]}), 51083);
    refused(bson!({"$ceil": "x"}), 28765);
}

#[test]
fn comparison_and_conditions() {
    check(bson!({"$eq": ["$a", 5.0]}), bson!(true));
    check(bson!({"$cmp": ["$a", "x"]}), bson!(-1));
    check(bson!({"$gt": ["$nope", Bson::Null]}), bson!(false));
    check(bson!({"$lt": ["$nope", Bson::Null]}), bson!(true));
    check(bson!({"$ne": ["$n", "$nope"]}), bson!(true));
    check(bson!({"$gte": [[1, 2], [1]]}), bson!(true));
    check(bson!({"$and": ["$t", "$a"]}), bson!(true));
    check(bson!({"$and": []}), bson!(true));
    check(bson!({"$or": []}), bson!(false));
    check(bson!({"$or": ["$t", {"$divide": [1, 0]}]}), bson!(true));
    check(bson!({"$not": ["$n"]}), bson!(true));
    check(bson!({"$cond": ["$t", "yes", {"$divide": [1, 0]}]}), bson!("yes"));
    check(bson!({"$cond": {"if": false, "then": 1, "else": "$a"}}), bson!(5));
    check(bson!({"$ifNull": ["$n", "$nope", "x"]}), bson!("x"));
    check(
        bson!({"$switch": {"branches": [{"case": {"$gt": ["$a", 9]}, "then": 1}], "default": 2}}),
        bson!(2),
    );
    refused(bson!({"$switch": {"branches": [{"case": {"$gt": ["$a", 9]}, "then": 1}]}}), 40066);
    refused(bson!({"$switch": {"branches": []}}), 40068);
    refused(bson!({"$cond": {"if": 1, "then": 2}}), 17082);
    refused(bson!({"$cond": {"if": 1, "then": 2, "else": 3, "other": 1}}), 17083);
    refused(bson!({"$ifNull": ["$n"]}), 1257300);
}

#[test]
fn arrays() {
    check(bson!({"$arrayElemAt": ["$arr", -1]}), bson!(2));
    missing(bson!({"$arrayElemAt": ["$arr", 9]}));
    check(bson!({"$first": "$arr"}), bson!(3));
    check(bson!({"$last": "$docs"}), bson!({"z": 3}));
    check(bson!({"$firstN": {"input": "$arr", "n": 2}}), bson!([3, 1]));
    check(bson!({"$lastN": {"input": "$arr", "n": 2}}), bson!([1, 2]));
    check(bson!({"$maxN": {"input": "$arr", "n": 2}}), bson!([3, 2]));
    check(bson!({"$minN": {"input": "$arr", "n": 9}}), bson!([1, 2, 3]));
    check(bson!({"$arrayToObject": [[["k", 1], ["l", 2]]]}), bson!({"k": 1, "l": 2}));
    check(bson!({"$arrayToObject": {"$objectToArray": "$o.p"}}), bson!({"q": 9}));
    check(bson!({"$concatArrays": ["$arr", [9]]}), bson!([3, 1, 2, 9]));
    check(bson!({"$concatArrays": ["$arr", "$n"]}), Bson::Null);
    check(bson!({"$filter": {"input": "$arr", "cond": {"$gt": ["$$this", 1]}}}), bson!([3, 2]));
    check(bson!({"$filter": {"input": "$arr", "as": "x", "cond": true, "limit": 1}}), bson!([3]));
    check(bson!({"$in": [2.0, "$arr"]}), bson!(true));
    check(bson!({"$indexOfArray": ["$arr", 1]}), bson!(1));
    check(bson!({"$indexOfArray": ["$arr", 3, 1]}), bson!(-1));
    check(bson!({"$isArray": ["$arr"]}), bson!(true));
    check(
        bson!({"$map": {"input": "$arr", "as": "x", "in": {"$multiply": ["$$x", "$a"]}}}),
        bson!([15, 5, 10]),
    );
    check(bson!({"$map": {"input": "$docs", "in": "$$this.x"}}), bson!([1, 2, Bson::Null]));
    check(bson!({"$range": [0, 10, 4]}), bson!([0, 4, 8]));
    check(bson!({"$range": [3, 0, -2]}), bson!([3, 1]));
    check(bson!({"$range": [3, 0]}), bson!([]));
    check(
        bson!({"$reduce": {"input": "$arr", "initialValue": 0, "in": {"$add": ["$$value", "$$this"]}}}),
        bson!(6),
    );
    check(bson!({"$reverseArray": "$arr"}), bson!([2, 1, 3]));
    check(bson!({"$size": "$arr"}), bson!(3));
    check(bson!({"$slice": ["$arr", -2]}), bson!([1, 2]));
    check(bson!({"$slice": ["$arr", 1, 1]}), bson!([1]));
    check(bson!({"$slice": ["$arr", -5, 2]}), bson!([3, 1]));
    check(bson!({"$sortArray": {"input": "$arr", "sortBy": -1}}), bson!([3, 2, 1]));
    check(
        bson!({"$sortArray": {"input": "$docs", "sortBy": {"x": -1}}}),
        bson!([{"x": 2}, {"x": 1, "y": "p"}, {"z": 3}]),
    );
    check(bson!({"$zip": {"inputs": ["$arr", [8]]}}), bson!([[3, 8]]));
    check(
        bson!({"$zip": {"inputs": [[1], [8, 9]], "useLongestLength": true, "defaults": [0, 0]}}),
        bson!([[1, 8], [0, 9]]),
    );
    check(bson!({"$sum": "$arr"}), bson!(6));
    check(bson!({"$sum": ["$a", "$b", "$s"]}), bson!(7.5));
    check(bson!({"$avg": "$arr"}), bson!(2.0));
    check(bson!({"$max": ["$a", "$l"]}), bson!(7i64));
    check(bson!({"$min": "$arr"}), bson!(1));
    check(bson!({"$stdDevPop": [[2, 4]]}), bson!(1.0));
    // Neither size nor depth grows without end.
    let twice =
        |twice: Bson| bson!({"$reduce": {"input": {"$range": [0, 100]}, "initialValue": [1], "in": twice}});
    refused(twice(bson!({"$concatArrays": ["$$value", "$$value"]})), 146);
    refused(twice(bson!({"a": "$$value", "b": "$$value"})), 146);
    refused(
        bson!({"$reduce": {"input": {"$range": [0, 100_000]}, "initialValue": 1, "in": {"a": "$$value"}}}),
        15,
    );
    refused(bson!({"$size": "$a"}), 17124);
    refused(bson!({"$in": [1, "$a"]}), 40081);
    refused(bson!({"$range": [0, i32::MAX]}), 146);
    refused(bson!({"$range": [0, 1, 0]}), 34449);
    refused(bson!({"$arrayElemAt": ["$a", 0]}), 28689);
    refused(bson!({"$filter": {"input": "$a", "cond": true}}), 28651);
    refused(bson!({"$map": {"input": "$arr"}}), 16882);
    refused(bson!({"$firstN": {"input": "$arr", "n": 0}}), 5787908);
}

#[test]
fn strings() {
    check(bson!({"$concat": ["a", "$s"]}), bson!("aHello, Wörld"));
    check(bson!({"$concat": ["a", "$n"]}), Bson::Null);
    check(bson!({"$indexOfBytes": ["$s", "ö"]}), bson!(8));
    check(bson!({"$indexOfCP": ["$s", "r"]}), bson!(9));
    check(bson!({"$indexOfCP": ["$s", "l", 4]}), bson!(10));
    check(bson!({"$trim": {"input": "  x "}}), bson!("x"));
    check(bson!({"$ltrim": {"input": "xxay", "chars": "x"}}), bson!("ay"));
    check(bson!({"$rtrim": {"input": "axx", "chars": "x"}}), bson!("a"));
    check(bson!({"$replaceOne": {"input": "aXbX", "find": "X", "replacement": "-"}}), bson!("a-bX"));
    check(bson!({"$replaceAll": {"input": "aXbX", "find": "X", "replacement": "-"}}), bson!("a-b-"));
    check(bson!({"$split": ["a,b", ","]}), bson!(["a", "b"]));
    check(bson!({"$strLenBytes": "$s"}), bson!(13));
    check(bson!({"$strLenCP": "$s"}), bson!(12));
    check(bson!({"$strcasecmp": ["abc", "ABD"]}), bson!(-1));
    check(bson!({"$substr": ["$s", 0, 5]}), bson!("Hello"));
    check(bson!({"$substrBytes": ["$s", 7, -1]}), bson!("Wörld"));
    check(bson!({"$substrCP": ["$s", 7, 2]}), bson!("Wö"));
    check(bson!({"$substr": ["$a", 0, 2]}), bson!("5"));
    check(bson!({"$toLower": "ABC"}), bson!("abc"));
    check(bson!({"$toUpper": "$n"}), bson!(""));
    check(bson!({"$regexMatch": {"input": "$s", "regex": "w.r", "options": "i"}}), bson!(true));
    check(
        bson!({"$regexFind": {"input": "$s", "regex": "(W)(x)?"}}),
        bson!({"match": "W", "idx": 7, "captures": ["W", Bson::Null]}),
    );
    check(
        bson!({"$regexFindAll": {"input": "aba", "regex": "a"}}),
        bson!([{"match": "a", "idx": 0, "captures": []}, {"match": "a", "idx": 2, "captures": []}]),
    );
    check(bson!({"$regexFind": {"input": "$n", "regex": "a"}}), Bson::Null);
    refused(bson!({"$concat": ["a", 1]}), 16702);
    refused(bson!({"$split": ["a", ""]}), 40087);
    refused(bson!({"$strLenCP": "$n"}), 34471);
    refused(bson!({"$substrBytes": ["$s", 9, 1]}), 28656);
    refused(bson!({"$regexMatch": {"input": "$a", "regex": "a"}}), 51104);
    refused(bson!({"$regexMatch": {"input": "a", "regex": "(?<=a)b"}}), 51091);
    refused(bson!({"$trim": {"input": 1}}), 50699);
}

#[test]
fn objects_and_sets() {
    check(bson!({"$mergeObjects": ["$o.p", {"z": 1}, "$n"]}), bson!({"q": 9, "z": 1}));
    check(bson!({"$objectToArray": {"x": 1}}), bson!([{"k": "x", "v": 1}]));
    check(bson!({"$getField": "a"}), bson!(5));
    check(bson!({"$getField": {"field": "q", "input": "$o.p"}}), bson!(9));
    check(bson!({"$setField": {"field": "a.b", "input": {"x": 1}, "value": 2}}), bson!({"x": 1, "a.b": 2}));
    check(bson!({"$unsetField": {"field": "x", "input": {"x": 1, "y": 2}}}), bson!({"y": 2}));
    check(bson!({"$setUnion": [[2, 1, 1], [1.0, 3]]}), bson!([1, 2, 3]));
    check(bson!({"$setIntersection": [[2, 1], [1, 3]]}), bson!([1]));
    check(bson!({"$setDifference": [[2, 1, 2], [1]]}), bson!([2]));
    check(bson!({"$setEquals": [[1, 2, 1], [2, 1]]}), bson!(true));
    check(bson!({"$setIsSubset": [[1], [2, 1]]}), bson!(true));
    check(bson!({"$anyElementTrue": [[0, Bson::Null, 1]]}), bson!(true));
    check(bson!({"$allElementsTrue": [[1, 0]]}), bson!(false));
    refused(bson!({"$mergeObjects": ["$a"]}), 40400);
    refused(bson!({"$setUnion": ["$a"]}), 17043);
}

#[test]
fn types() {
    check(bson!({"$type": "$nope"}), bson!("missing"));
    check(bson!({"$type": "$d"}), bson!("date"));
    check(bson!({"$isNumber": "$b"}), bson!(true));
    check(bson!({"$toInt": "17"}), bson!(17));
    check(bson!({"$toInt": 2.9}), bson!(2));
    check(bson!({"$toLong": "$d"}), bson!(1_600_000_000_123i64));
    check(bson!({"$toDouble": "2.5"}), bson!(2.5));
    check(bson!({"$toBool": 0}), bson!(false));
    check(bson!({"$toBool": "false"}), bson!(true));
    check(bson!({"$toString": 2.0}), bson!("2"));
    check(bson!({"$toString": 1e25}), bson!("1e+25"));
    check(bson!({"$toString": "$d"}), bson!("2020-09-13T12:26:40.123Z"));
    check(
        bson!({"$toDate": "2020-09-13T12:26:40.123Z"}),
        Bson::DateTime(bson::DateTime::from_millis(1_600_000_000_123)),
    );
    check(bson!({"$convert": {"input": "x", "to": "int", "onError": "bad"}}), bson!("bad"));
    check(bson!({"$convert": {"input": "$n", "to": "int", "onNull": 0}}), bson!(0));
    check(bson!({"$convert": {"input": true, "to": 16}}), bson!(1));
    check(
        bson!({"$toObjectId": "0123456789abcdef01234567"}),
        Bson::ObjectId("0123456789abcdef01234567".parse().unwrap()),
    );
    check(bson!({"$bsonSize": {"a": 1}}), bson!(12));
    check(bson!({"$binarySize": "abc"}), bson!(3));
    check(bson!({"$tsSecond": "$$CLUSTER_TIME"}), bson!(7i64));
    check(bson!({"$eq": [{"$toHashedIndexKey": 1}, {"$toHashedIndexKey": 1.0}]}), bson!(true));
    refused(bson!({"$toInt": "x"}), 241);
    refused(bson!({"$toInt": "$big"}), 241);
    refused(bson!({"$toString": "$arr"}), 241);
    refused(bson!({"$toString": "$far"}), 241);
    refused(bson!({"$convert": {"input": 1, "to": "foo"}}), 2);
}

fn millis(text: &str) -> Bson {
    date::from_millis(date_format::parse_default(text, None).unwrap())
}

#[test]
fn dates() {
    for (name, part) in [
        ("$year", 2020),
        ("$month", 9),
        ("$dayOfMonth", 13),
        ("$hour", 12),
        ("$minute", 26),
        ("$second", 40),
        ("$millisecond", 123),
        ("$dayOfWeek", 1),
        ("$dayOfYear", 257),
        ("$week", 37),
        ("$isoWeek", 37),
        ("$isoDayOfWeek", 7),
    ] {
        let mut expression = bson::Document::new();
        expression.insert(name, "$d");
        check(Bson::Document(expression), bson!(part));
        for far in ["$far", "$past"] {
            refused(Bson::Document(doc! { name: far }), 15);
        }
    }
    check(bson!({"$isoWeekYear": {"date": "$d"}}), bson!(2020i64));
    check(bson!({"$hour": {"date": "$d", "timezone": "America/New_York"}}), bson!(8));
    check(bson!({"$hour": {"date": "$d", "timezone": "+05:30"}}), bson!(17));
    check(bson!({"$year": "$n"}), Bson::Null);
    check(bson!({"$dateToString": {"date": "$d"}}), bson!("2020-09-13T12:26:40.123Z"));
    check(
        bson!({"$dateToString": {"date": "$d", "format": "%d/%m/%Y %H:%M %z %j %b", "timezone": "Europe/Berlin"}}),
        bson!("13/09/2020 14:26 +0200 257 Sep"),
    );
    check(bson!({"$dateToString": {"date": "$n", "onNull": "none"}}), bson!("none"));
    check(bson!({"$dateFromString": {"dateString": "2020-09-13"}}), millis("2020-09-13T00:00:00Z"));
    check(
        bson!({"$dateFromString": {"dateString": "2020-09-13 14:00", "timezone": "Europe/Berlin"}}),
        millis("2020-09-13T12:00:00Z"),
    );
    check(
        bson!({"$dateFromString": {"dateString": "13.09.2020", "format": "%d.%m.%Y"}}),
        millis("2020-09-13"),
    );
    check(bson!({"$dateFromString": {"dateString": "zzz", "onError": 1}}), bson!(1));
    check(bson!({"$dateFromParts": {"year": 2020, "month": 14, "day": 0}}), millis("2021-01-31"));
    check(bson!({"$dateFromParts": {"isoWeekYear": 2020, "isoWeek": 1}}), millis("2019-12-30"));
    check(
        bson!({"$dateToParts": {"date": "$d"}}),
        bson!({"year": 2020, "month": 9, "day": 13, "hour": 12, "minute": 26, "second": 40, "millisecond": 123}),
    );
    check(
        bson!({"$dateAdd": {"startDate": millis("2020-01-31"), "unit": "month", "amount": 1}}),
        millis("2020-02-29"),
    );
    check(
        bson!({"$dateSubtract": {"startDate": millis("2020-03-01"), "unit": "day", "amount": 1}}),
        millis("2020-02-29"),
    );
    // Over the change to summer time a day has 23 hours.
    check(
        bson!({"$dateAdd": {"startDate": millis("2020-03-28T12:00Z"), "unit": "day", "amount": 1, "timezone": "Europe/Berlin"}}),
        millis("2020-03-29T11:00Z"),
    );
    check(
        bson!({"$dateDiff": {"startDate": millis("2019-12-31"), "endDate": millis("2020-01-01"), "unit": "year"}}),
        bson!(1i64),
    );
    check(
        bson!({"$dateDiff": {"startDate": millis("2020-01-04"), "endDate": millis("2020-01-05"), "unit": "week"}}),
        bson!(1i64),
    );
    check(
        bson!({"$dateDiff": {"startDate": millis("2020-01-01"), "endDate": millis("2020-01-02T01:30Z"), "unit": "hour"}}),
        bson!(25i64),
    );
    check(bson!({"$dateTrunc": {"date": "$d", "unit": "month"}}), millis("2020-09-01"));
    check(
        bson!({"$dateTrunc": {"date": "$d", "unit": "week", "startOfWeek": "monday"}}),
        millis("2020-09-07"),
    );
    check(bson!({"$dateTrunc": {"date": "$d", "unit": "hour", "binSize": 6}}), millis("2020-09-13T12:00Z"));
    check(bson!({"$dateTrunc": {"date": "$d", "unit": "quarter"}}), millis("2020-07-01"));
    for far in ["$far", "$past"] {
        refused(bson!({"$dateToString": {"date": far}}), 15);
        refused(bson!({"$dateTrunc": {"date": far, "unit": "day"}}), 15);
        refused(bson!({"$dateDiff": {"startDate": far, "endDate": "$d", "unit": "day"}}), 15);
        refused(bson!({"$dateAdd": {"startDate": far, "unit": "month", "amount": 1}}), 15);
    }
    refused(bson!({"$dateAdd": {"startDate": "$far", "unit": "hour", "amount": 1}}), 5166406);
    refused(bson!({"$dateAdd": {"startDate": "$d", "unit": "year", "amount": i64::MAX}}), 5166406);
    refused(bson!({"$dateAdd": {"startDate": "$d", "unit": "day", "amount": i64::MIN}}), 5166406);
    check(bson!({"$dateTrunc": {"date": "$d", "unit": "day", "binSize": i64::MAX}}), millis("2000-01-01"));
    refused(bson!({"$dateTrunc": {"date": "$d", "unit": "year", "binSize": i64::MAX}}), 5166406);
    refused(bson!({"$dateToString": {"date": "$d", "format": "%q"}}), 18536);
    refused(bson!({"$dateFromString": {"dateString": "2020-13-01"}}), 241);
    refused(bson!({"$year": {"date": "$d", "timezone": "Mars/Base"}}), 40485);
    refused(bson!({"$year": "$s"}), 16006);
}

//! Array operators that read their operands themselves: `$filter`, `$map`, `$reduce`, `$sortArray`, `$zip`.

use super::array::fail;
use super::operator::{Arity, optional, required};
use super::value::{check_growth, from_raw, is_nullish, number, render, to_raw, type_name};
use super::variable::check_name;
use super::{Env, Evaluate, Expr, Value, Variables, arguments};
use crate::context::ParseContext;
use crate::sort::Sort;
use bson::{Bson, RawBson, RawBsonRef};
use types::Fault;
use value::{Collator, order};

const NULL: Value = Some(Bson::Null);

#[derive(Debug)]
struct Filter {
    input: Expr,
    slot: usize,
    condition: Expr,
    limit: Option<Expr>,
}

fn lost() -> Fault {
    Fault::internal("an array operator lost an operand")
}

/// The name of the element's variable: what `as` says, or `this`.
fn element_name(raw: Option<RawBsonRef<'_>>) -> Result<&str, Fault> {
    match raw {
        None => Ok("this"),
        Some(RawBsonRef::String(name)) => check_name(name).map(|()| name),
        Some(_) => Err(Fault::bad_value("the 'as' of an array operator must be a string")),
    }
}

pub(super) fn parse_filter(
    raw: RawBsonRef<'_>,
    scope: &Variables,
    ctx: &ParseContext,
) -> Result<Expr, Fault> {
    let document = arguments::object("$filter", raw, 28646)?;
    let params = [required("input"), optional("as"), required("cond"), optional("limit")];
    let [input, name, condition, limit] = arguments::raw_named("$filter", document, &params)?;
    let (inner, slot) = scope.with(element_name(name)?);
    let input = Expr::parse(input.ok_or_else(lost)?, scope, ctx)?;
    let condition = Expr::parse(condition.ok_or_else(lost)?, &inner, ctx)?;
    let limit = limit.map(|limit| Expr::parse(limit, scope, ctx)).transpose()?;
    Ok(Expr::special(Filter { input, slot, condition, limit }))
}

impl Evaluate for Filter {
    fn eval(&self, env: &Env<'_>) -> Result<Value, Fault> {
        let input = self.input.eval(env)?;
        if is_nullish(&input) {
            return Ok(NULL);
        }
        let Some(Bson::Array(elements)) = input else {
            return fail(28651, format!("input to $filter must be an array not {}", type_name(&input)));
        };
        let limit = match self.limit.as_ref().map(|limit| limit.eval(env)).transpose()? {
            Some(limit) if !is_nullish(&limit) => {
                let whole = limit.as_ref().and_then(number).and_then(|number| number.to_i32_exact());
                match whole.and_then(|whole| usize::try_from(whole).ok()).filter(|whole| *whole > 0) {
                    Some(limit) => limit,
                    None => {
                        return fail(
                            327392,
                            format!("$filter: limit must be greater than 0: {}", render(&limit)),
                        );
                    }
                }
            }
            _ => usize::MAX,
        };
        let mut out = Vec::new();
        for element in elements {
            if out.len() >= limit {
                break;
            }
            let element = Some(element);
            let frame = env.bind(self.slot, &element);
            if self.condition.is_true(&env.with(&frame))? {
                out.extend(element);
            }
        }
        Ok(Some(Bson::Array(out)))
    }
}

#[derive(Debug)]
struct Map {
    input: Expr,
    slot: usize,
    body: Expr,
}

pub(super) fn parse_map(raw: RawBsonRef<'_>, scope: &Variables, ctx: &ParseContext) -> Result<Expr, Fault> {
    let document = arguments::object("$map", raw, 16878)?;
    let params = [required("input"), optional("as"), required("in")];
    let [input, name, body] = arguments::raw_named("$map", document, &params)?;
    let (inner, slot) = scope.with(element_name(name)?);
    let input = Expr::parse(input.ok_or_else(lost)?, scope, ctx)?;
    Ok(Expr::special(Map { input, slot, body: Expr::parse(body.ok_or_else(lost)?, &inner, ctx)? }))
}

impl Evaluate for Map {
    fn eval(&self, env: &Env<'_>) -> Result<Value, Fault> {
        let input = self.input.eval(env)?;
        if is_nullish(&input) {
            return Ok(NULL);
        }
        let Some(Bson::Array(elements)) = input else {
            return fail(16883, format!("input to $map must be an array not {}", type_name(&input)));
        };
        let mut out = Vec::with_capacity(elements.len());
        for element in elements {
            let element = Some(element);
            let frame = env.bind(self.slot, &element);
            out.push(self.body.eval(&env.with(&frame))?.unwrap_or(Bson::Null));
        }
        let out = Some(Bson::Array(out));
        check_growth(&out)?;
        Ok(out)
    }
}

#[derive(Debug)]
struct Reduce {
    input: Expr,
    initial: Expr,
    this: usize,
    value: usize,
    body: Expr,
}

pub(super) fn parse_reduce(
    raw: RawBsonRef<'_>,
    scope: &Variables,
    ctx: &ParseContext,
) -> Result<Expr, Fault> {
    let document = arguments::object("$reduce", raw, 40075)?;
    let params = [required("input"), required("initialValue"), required("in")];
    let [input, initial, body] = arguments::raw_named("$reduce", document, &params)?;
    let (inner, this) = scope.with("this");
    let (inner, value) = inner.with("value");
    Ok(Expr::special(Reduce {
        input: Expr::parse(input.ok_or_else(lost)?, scope, ctx)?,
        initial: Expr::parse(initial.ok_or_else(lost)?, scope, ctx)?,
        this,
        value,
        body: Expr::parse(body.ok_or_else(lost)?, &inner, ctx)?,
    }))
}

impl Evaluate for Reduce {
    fn eval(&self, env: &Env<'_>) -> Result<Value, Fault> {
        let input = self.input.eval(env)?;
        if is_nullish(&input) {
            return Ok(NULL);
        }
        let Some(Bson::Array(elements)) = input else {
            return fail(
                40080,
                format!("$reduce requires that 'input' be an array, found: {}", render(&input)),
            );
        };
        let mut value = self.initial.eval(env)?;
        for element in elements {
            let element = Some(element);
            let outer = env.bind(self.this, &element);
            let bound = env.with(&outer);
            let frame = bound.bind(self.value, &value);
            let next = self.body.eval(&bound.with(&frame))?;
            check_growth(&next)?;
            value = next;
        }
        Ok(value)
    }
}

#[derive(Debug)]
struct SortArray {
    input: Expr,
    by: By,
    collation: Option<Collator>,
}

#[derive(Debug)]
enum By {
    Value { descending: bool },
    Pattern(Sort),
}

pub(super) fn parse_sort(raw: RawBsonRef<'_>, scope: &Variables, ctx: &ParseContext) -> Result<Expr, Fault> {
    let document = arguments::object("$sortArray", raw, 2942500)?;
    let [input, by] = arguments::raw_named("$sortArray", document, &[required("input"), required("sortBy")])?;
    let by = match by.ok_or_else(lost)? {
        RawBsonRef::Document(pattern) => By::Pattern(Sort::parse(pattern)?.under(ctx.collation.clone())),
        other => match value::number::Number::from_raw(other).and_then(|number| number.to_i64_exact()) {
            Some(1) => By::Value { descending: false },
            Some(-1) => By::Value { descending: true },
            _ => {
                let shown = from_raw(other).ok();
                return fail(2942505, format!("Illegal key in $sort specification: {}", render(&shown)));
            }
        },
    };
    let input = Expr::parse(input.ok_or_else(lost)?, scope, ctx)?;
    Ok(Expr::special(SortArray { input, by, collation: ctx.collation.clone() }))
}

impl Evaluate for SortArray {
    fn eval(&self, env: &Env<'_>) -> Result<Value, Fault> {
        let input = self.input.eval(env)?;
        if is_nullish(&input) {
            return Ok(NULL);
        }
        let Some(Bson::Array(mut elements)) = input else {
            return fail(
                2942504,
                format!(
                    "The input argument to $sortArray must be an array, but was of type: {}",
                    type_name(&input)
                ),
            );
        };
        match &self.by {
            By::Value { descending } => {
                let collation = self.collation.as_ref();
                elements.sort_by(|left, right| {
                    let order = order::compare_bson_under(left, right, collation);
                    if *descending { order.reverse() } else { order }
                });
            }
            By::Pattern(sort) => {
                let mut keyed = Vec::with_capacity(elements.len());
                for element in elements {
                    let raw = to_raw(&element)?;
                    // What is no document has none of the fields.
                    let key = match &raw {
                        RawBson::Document(document) => sort.key(document)?,
                        _ => sort.key(&bson::RawDocumentBuf::new())?,
                    };
                    keyed.push((key, element));
                }
                keyed.sort_by(|(left, _), (right, _)| left.cmp(right));
                elements = keyed.into_iter().map(|(_, element)| element).collect();
            }
        }
        Ok(Some(Bson::Array(elements)))
    }
}

#[derive(Debug)]
struct Zip {
    inputs: Vec<Expr>,
    longest: bool,
    defaults: Option<Vec<Expr>>,
}

pub(super) fn parse_zip(raw: RawBsonRef<'_>, scope: &Variables, ctx: &ParseContext) -> Result<Expr, Fault> {
    let document = arguments::object("$zip", raw, 34460)?;
    let params = [required("inputs"), optional("useLongestLength"), optional("defaults")];
    let [inputs, longest, defaults] = arguments::raw_named("$zip", document, &params)?;
    let list = |raw: RawBsonRef<'_>, code: i32, what: &str| match raw {
        RawBsonRef::Array(_) => arguments::positional("$zip", raw, Arity::Any, scope, ctx),
        _ => fail(code, format!("{what} must be an array of expressions")),
    };
    let inputs = list(inputs.ok_or_else(lost)?, 34461, "inputs")?;
    if inputs.is_empty() {
        return fail(34465, "$zip requires at least one input array");
    }
    let longest = match longest {
        None => false,
        Some(RawBsonRef::Boolean(longest)) => longest,
        Some(_) => return fail(34463, "useLongestLength must be a bool"),
    };
    let defaults = defaults.map(|defaults| list(defaults, 34462, "defaults")).transpose()?;
    if let Some(defaults) = &defaults {
        if !longest {
            return fail(34466, "cannot specify defaults unless useLongestLength is true");
        }
        if defaults.len() != inputs.len() {
            return fail(34467, "defaults and inputs must have the same length");
        }
    }
    Ok(Expr::special(Zip { inputs, longest, defaults }))
}

impl Evaluate for Zip {
    fn eval(&self, env: &Env<'_>) -> Result<Value, Fault> {
        let mut arrays = Vec::with_capacity(self.inputs.len());
        for input in &self.inputs {
            match input.eval(env)? {
                Some(Bson::Array(elements)) => arrays.push(elements),
                other if is_nullish(&other) => return Ok(NULL),
                other => {
                    return fail(
                        34468,
                        format!("$zip found a non-array expression in input: {}", render(&other)),
                    );
                }
            }
        }
        let lengths = arrays.iter().map(Vec::len);
        let length = if self.longest { lengths.max() } else { lengths.min() }.unwrap_or(0);
        let defaults = match &self.defaults {
            Some(defaults) => defaults
                .iter()
                .map(|default| Ok(default.eval(env)?.unwrap_or(Bson::Null)))
                .collect::<Result<Vec<_>, Fault>>()?,
            None => vec![Bson::Null; arrays.len()],
        };
        let row = |index: usize| {
            let cells = arrays.iter().zip(&defaults);
            Bson::Array(cells.map(|(array, default)| array.get(index).unwrap_or(default).clone()).collect())
        };
        Ok(Some(Bson::Array((0..length).map(row).collect())))
    }
}

//! `update`: changes to documents of one collection, statement by statement.

use crate::options::{Hint, Modification, WriteOptions};
use crate::parse::{Body, Field, Stop, batch, each, missing, write_options};
use crate::{Envelope, Request, Rewrite};
use types::{Code, Fault, Namespace};
use value::{Collation, SharedDoc};

/// An `update` command.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    pub ns: Namespace,
    pub updates: Vec<UpdateStatement>,
    pub options: WriteOptions,
}

/// One statement of an update.
#[derive(Debug, Clone, PartialEq)]
pub struct UpdateStatement {
    /// `q`.
    pub filter: SharedDoc,
    /// `u`.
    pub update: Modification,
    /// `c`: variables of a pipeline update.
    pub constants: Option<SharedDoc>,
    pub multi: bool,
    pub upsert: bool,
    pub array_filters: Vec<SharedDoc>,
    pub hint: Option<Hint>,
    /// How strings compare.
    pub collation: Collation,
    /// Which of several matches a single update takes (8.0).
    pub sort: Option<SharedDoc>,
    /// The statement as it came, for forwarding.
    pub raw: SharedDoc,
}

impl Update {
    /// Reads the command. What the statements do is not looked into: that is `query::update`.
    ///
    /// # Errors
    /// As MongoDB: bad fields, no or too many statements, a repeatable statement that touches many documents.
    pub fn parse(request: &Request, envelope: &Envelope) -> Result<Update, Fault> {
        let body = Body::with_sequences(request, "update", &["updates"]);
        let ns = body.collection(envelope)?;
        let mut statements = None;
        let mut options = WriteOptions::unnamed();
        body.each(|field| {
            match field.name {
                "updates" => statements = Some(field.documents()?),
                _ if write_options(&field, &mut options)? => {}
                _ => return field.unknown(),
            }
            Ok(())
        })?;
        let statements = batch(request, "update", "updates", statements)?;
        options.check_statements(statements.len())?;
        let mut updates = Vec::with_capacity(statements.len());
        for statement in statements {
            let update = UpdateStatement::parse(statement)?;
            refuse_repeatable_multi(update.multi, envelope)?;
            updates.push(update);
        }
        Ok(Update { ns, updates, options })
    }

    /// `request` with only the statements at `positions`.
    ///
    /// # Errors
    /// `InvalidBSON` (22) where the body cannot be walked.
    pub fn subset(&self, request: &Request, positions: &[usize]) -> Result<Request, Fault> {
        let statements = positions.iter().filter_map(|position| self.updates.get(*position));
        let statements = statements.map(|statement| statement.raw.clone()).collect();
        self.options
            .renumber(Rewrite::of(request), request, positions)
            .sequence("updates", statements)
            .finish()
    }
}

/// A statement that touches many documents cannot be repeated safely, so it may not carry a transaction number.
pub(crate) fn refuse_repeatable_multi(multi: bool, envelope: &Envelope) -> Result<(), Fault> {
    if multi && envelope.txn_number.is_some() && !envelope.in_transaction() {
        return Err(Fault::new(
            Code::InvalidOptions,
            "Cannot use (or request) retryable writes with multi=true",
        ));
    }
    Ok(())
}

impl UpdateStatement {
    /// Reads one statement.
    ///
    /// # Errors
    /// As MongoDB, for bad fields and combinations.
    pub fn parse(raw: SharedDoc) -> Result<UpdateStatement, Fault> {
        let mut draft = Draft::default();
        each(&raw, &raw, "update.updates", |field| match field.name {
            "q" => {
                draft.filter = Some(field.document()?);
                Ok(())
            }
            "u" => {
                draft.update = Some(field.modification()?);
                Ok(())
            }
            "c" => {
                draft.constants = Some(field.document()?);
                Ok(())
            }
            _ => draft.read(field),
        })?;
        draft.finish(raw, "update.updates.q", "update.updates.u")
    }
}

/// A statement while its fields come in; bulkWrite's update operations differ only in the names of some fields.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) filter: Option<SharedDoc>,
    pub(crate) update: Option<Modification>,
    pub(crate) constants: Option<SharedDoc>,
    multi: bool,
    upsert: bool,
    array_filters: Option<Vec<SharedDoc>>,
    hint: Option<Hint>,
    collation: Collation,
    sort: Option<SharedDoc>,
}

impl Draft {
    pub(crate) fn read(&mut self, field: Field<'_>) -> Result<(), Stop> {
        match field.name {
            "multi" => self.multi = field.flag()?,
            "upsert" => self.upsert = field.flag()?,
            "arrayFilters" => self.array_filters = Some(field.documents()?),
            "hint" => self.hint = Some(field.hint()?),
            "sort" => self.sort = Some(field.filled_document()?),
            "collation" => self.collation = field.collation()?,
            "upsertSupplied" | "allowShardKeyUpdatesWithoutFullShardKeyInQuery" => field.unset_flag()?,
            "sampleId" => field.unsupported()?,
            _ => return field.unknown(),
        }
        Ok(())
    }

    pub(crate) fn finish(self, raw: SharedDoc, filter: &str, update: &str) -> Result<UpdateStatement, Fault> {
        let statement = UpdateStatement {
            filter: self.filter.ok_or_else(|| missing(filter))?,
            update: self.update.ok_or_else(|| missing(update))?,
            constants: self.constants,
            multi: self.multi,
            upsert: self.upsert,
            array_filters: self.array_filters.unwrap_or_default(),
            hint: self.hint,
            collation: self.collation,
            sort: self.sort,
            raw,
        };
        let is_pipeline = matches!(statement.update, Modification::Pipeline(_));
        if statement.constants.is_some() && !is_pipeline {
            return Err(Fault::new(
                Code::Location(51198),
                "Constant values may only be specified for pipeline updates",
            ));
        }
        if is_pipeline && !statement.array_filters.is_empty() {
            return Err(Fault::new(
                Code::FailedToParse,
                "arrayFilters may not be specified for pipeline-style updates",
            ));
        }
        if statement.multi && statement.sort.is_some() {
            return Err(Fault::new(Code::FailedToParse, "Cannot specify sort with multi=true"));
        }
        Ok(statement)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{check_faults, envelope, request};
    use bson::doc;

    fn parse(body: bson::Document) -> Result<Update, Fault> {
        Update::parse(&request(body), &envelope())
    }

    #[test]
    fn statements_are_read() {
        let update = parse(doc! {"update": "c", "updates": [
            {"q": {"a": 1}, "u": {"$set": {"b": 1}}, "multi": true, "arrayFilters": [{"x": 1}], "hint": {"a": 1}},
            {"q": {}, "u": [{"$set": {"b": 1}}], "upsert": true, "c": {"v": 1}, "collation": {}},
            {"q": {}, "u": {"b": 1}, "sort": {"a": 1}},
        ]})
        .unwrap();
        let [first, second, third] = update.updates.as_slice() else { panic!("three statements") };
        assert!(first.multi && !first.upsert && !first.update.is_replacement());
        assert_eq!(first.array_filters.len(), 1);
        assert!(matches!(&first.hint, Some(Hint::Pattern(_))));
        assert!(second.upsert && second.constants.is_some());
        assert!(matches!(&second.update, Modification::Pipeline(stages) if stages.len() == 1));
        assert!(third.update.is_replacement() && third.sort.is_some());
    }

    #[test]
    fn bad_fields_are_refused() {
        let one = |statement: bson::Document| doc! {"update": "c", "updates": [statement]};
        check_faults(
            |body| parse(body).map(drop),
            &[
                (doc! {"update": "c"}, 40414, "BSON field 'update.updates' is missing but a required field"),
                (one(doc! {"u": {}}), 40414, "BSON field 'update.updates.q' is missing but a required field"),
                (one(doc! {"q": {}}), 40414, "BSON field 'update.updates.u' is missing but a required field"),
                (one(doc! {"q": {}, "u": 1}), 9, "Update argument must be either an object or an array"),
                (one(doc! {"q": {}, "u": [1]}), 14, ""),
                (one(doc! {"q": {}, "u": {}, "foo": 1}), 40415, ""),
                (one(doc! {"q": {}, "u": {}, "c": {}}), 51198, ""),
                (one(doc! {"q": {}, "u": {}, "multi": true, "sort": {"a": 1}}), 9, ""),
                (one(doc! {"q": {}, "u": [], "arrayFilters": [{"a": 1}]}), 9, ""),
            ],
        );
        let repeatable = Envelope { txn_number: Some(1), ..envelope() };
        let many = request(one(doc! {"q": {}, "u": {}, "multi": true}));
        assert_eq!(Update::parse(&many, &repeatable).unwrap_err().code, Code::InvalidOptions);
    }

    #[test]
    fn a_subset_is_forwarded() {
        let asked = request(
            doc! {"update": "c", "updates": [{"q": {"a": 1}, "u": {}}, {"q": {"a": 2}, "u": {}}], "let": {"v": 1}},
        );
        let sent = Update::parse(&asked, &envelope()).unwrap().subset(&asked, &[1]).unwrap();
        assert_eq!(bson::Document::try_from(&*sent.body).unwrap(), doc! {"update": "c", "let": {"v": 1}});
        let again = Update::parse(&sent, &envelope()).unwrap();
        assert_eq!(again.updates[0].filter.get_i32("a").unwrap(), 2);
    }
}

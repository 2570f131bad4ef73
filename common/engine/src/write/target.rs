//! Finding what a single update, delete or findAndModify is about: the first document that matches, in an order if one is asked
//! for. The document is read at the attempt's snapshot, so the commit notices if it changed.

use super::job::Job;
use crate::exec::{Flow, Hit, Scan, drive};
use crate::plan::{self, Order, Plan, Query};
use command::Hint;
use query::matcher::Matcher;
use query::sort::Sort;
use std::sync::Arc;
use storage::{Collection, RecordKey, RecordOrder, Snapshot};
use types::{Code, Fault, Timestamp};
use value::{Collator, SharedDoc};

/// What is looked for, parsed once for all attempts.
pub(crate) struct Seek {
    /// Set where the filter is one equality on `_id`: nothing else was parsed then.
    point: Option<RecordKey>,
    filter: SharedDoc,
    matcher: Option<Arc<Matcher>>,
    sort: Option<Sort>,
    hint: Option<Hint>,
    even_hidden: bool,
    /// That of the collection, by which `point` was made.
    records: Option<Collator>,
}

impl Seek {
    /// Parses filter and sort.
    ///
    /// # Errors
    /// Those of filter and sort.
    pub(crate) fn parse(
        job: &Job<'_>,
        filter: &SharedDoc,
        sort: Option<&SharedDoc>,
        hint: Option<&Hint>,
    ) -> Result<Seek, Fault> {
        let asked = job.parse.collation.as_ref();
        let Order { sort, hint } = Order::parse(sort, hint, asked)?;
        let collection = job.collection();
        let by_id = collection.as_ref().is_none_or(|collection| collection.order == RecordOrder::Id);
        let records = collection.and_then(|collection| collection.collation.clone());
        let point = match hint.is_none() && by_id {
            true => plan::id_point(filter, asked, records.as_ref()),
            false => None,
        };
        let matcher = match &point {
            Some(_) => None,
            None => Some(Arc::new(Matcher::parse(filter, &job.parse)?)),
        };
        Ok(Seek { point, filter: filter.clone(), matcher, sort, hint, even_hidden: false, records })
    }

    /// Lets the hint name a hidden index.
    pub(crate) fn even_hidden(self) -> Seek {
        Seek { even_hidden: true, ..self }
    }

    /// The filter's matcher, which a point look-up does without.
    pub(crate) fn matcher(&mut self, job: &Job<'_>) -> Result<Arc<Matcher>, Fault> {
        match &self.matcher {
            Some(matcher) => Ok(Arc::clone(matcher)),
            None => {
                let matcher = Arc::new(Matcher::parse(&self.filter, &job.parse)?);
                Ok(Arc::clone(self.matcher.insert(matcher)))
            }
        }
    }

    /// The plan at a time.
    pub(crate) fn plan(&self, collection: &Arc<Collection>, at: Timestamp) -> Result<Plan, Fault> {
        match &self.point {
            Some(_) if !self.is_for(collection) => Err(made_anew(collection)),
            Some(key) => Ok(plan::point(key.clone())),
            None => plan::choose(Some(collection), &self.query(at)),
        }
    }

    /// Whether a key made for the collection as it was is one of the collection as it is.
    fn is_for(&self, collection: &Collection) -> bool {
        collection.order == RecordOrder::Id && collection.collation == self.records
    }

    /// What the planner is told.
    pub(crate) fn query(&self, at: Timestamp) -> Query<'_> {
        Query {
            filter: self.matcher.clone().filter(|matcher| !matcher.is_match_all()),
            sort: self.sort.as_ref(),
            hint: self.hint.as_ref(),
            even_hidden: self.even_hidden,
            at,
        }
    }

    /// The order that was asked for.
    pub(crate) fn sort(&self) -> Option<&Sort> {
        self.sort.as_ref()
    }

    /// The whole filter; `None` matches everything.
    pub(crate) fn whole_filter(&self) -> Option<Arc<Matcher>> {
        self.matcher.clone().filter(|matcher| !matcher.is_match_all())
    }

    /// The first document that matches.
    ///
    /// # Errors
    /// Those of planning and of the scan.
    pub(crate) async fn first(
        &self,
        job: &Job<'_>,
        snapshot: &Snapshot,
        collection: &Arc<Collection>,
    ) -> Result<Option<Hit>, Fault> {
        if let Some(key) = &self.point {
            if !self.is_for(collection) {
                return Err(made_anew(collection));
            }
            let Some(doc) = snapshot.get(collection, key)? else { return Ok(None) };
            let owned = job.owner.as_ref().is_none_or(|owner| owner.owns(&doc));
            return Ok(owned.then(|| Hit { key: key.clone(), doc }));
        }
        let plan = Arc::new(self.plan(collection, snapshot.timestamp())?);
        let sort = self.sort.as_ref().filter(|_| !plan.sorted);
        let mut scan = Scan::new(plan, job.owner.clone());
        let mut best: Option<(Vec<u8>, Hit)> = None;
        drive(job.engine, job.ctx, &mut scan, snapshot, collection, &mut |hit| {
            let Some(sort) = sort else {
                best = Some((Vec::new(), hit.clone()));
                return Ok(Flow::Stop);
            };
            let key = sort.key(&hit.doc)?;
            if best.as_ref().is_none_or(|(least, _)| key < *least) {
                best = Some((key, hit.clone()));
            }
            Ok(Flow::Continue)
        })
        .await?;
        Ok(best.map(|(_, hit)| hit))
    }
}

/// A collection of the same name, of another kind, came while the statement was under way.
fn made_anew(collection: &Collection) -> Fault {
    Fault::new(Code::QueryPlanKilled, format!("collection {} was made anew meanwhile", collection.ns))
}

//! The job file as a whole, and what its sections must agree on.

use crate::job::{Job, Resources, Training};
use crate::job_file::data::data;
use crate::job_file::expected::Expected;
use crate::job_file::field::Section;
use crate::job_file::found::Found;
use crate::job_file::keys;
use crate::job_file::layer::model;
use crate::job_file::mistake::Wrong;
use crate::job_file::name::is_name;
use crate::job_file::resources::{checkpoint, resources};
use crate::job_file::training::{enough_microbatches, training};
use crate::job_file::tree::{Place, Table};
use crate::schedule::ScheduleKind;

/// Reads the whole file. What is wrong is noted; a job without notes is always there.
pub(super) fn job(document: &Table, found: &mut Found) -> Option<Job> {
    let top = Section::new(String::new(), Place::Nowhere, document, keys::TOP, found);
    let name = top
        .required("name", Expected::Name, found)
        .and_then(|field| {
            let text = field.text(Expected::Name, found)?;
            if !is_name(text) {
                field.out_of_range(Expected::Name, found);
                return None;
            }
            Some(text.to_string())
        });
    let data = top
        .section("data", keys::DATA, found)
        .and_then(|section| data(&section, found));
    let model = top
        .section("model", keys::MODEL, found)
        .and_then(|section| model(&section, found));
    let training_section = top.section("training", keys::TRAINING, found);
    let training = training_section
        .as_ref()
        .and_then(|section| training(section, found));
    let resources_section = top.section("resources", keys::RESOURCES, found);
    let resources = resources_section
        .as_ref()
        .and_then(|section| resources(section, found));
    let checkpoint = top
        .section("checkpoint", keys::CHECKPOINT, found)
        .and_then(|section| checkpoint(&section, found));
    if let (Some(training), Some(resources)) = (&training, &resources) {
        let sections = [
            (&resources_section, "ranks"),
            (&training_section, "microbatches"),
            (&training_section, "batch_size"),
        ];
        let places = sections
            .into_iter()
            .filter_map(|(section, key)| Some(section.as_ref()?.get(key)?.place()));
        ranks_have_microbatches(training, resources, places.collect(), found);
    }
    if let (Some(data), Some(training), Some(section)) = (&data, &training, &training_section)
        && data.validation.is_none()
    {
        followers_have_validation(training, section, found);
    }
    Some(Job {
        name: name?,
        data: data?,
        model: model?,
        training: training?,
        resources: resources?,
        checkpoint: checkpoint?,
    })
}

/// What follows the validation rows needs some.
fn followers_have_validation(training: &Training, section: &Section<'_>, found: &mut Found) {
    let plateau = matches!(
        training.lr_schedule.kind,
        ScheduleKind::ReduceOnPlateau { .. }
    );
    let stopping = training.early_stopping.is_some();
    for (key, _) in [("lr_schedule", plateau), ("early_stopping", stopping)]
        .into_iter()
        .filter(|(_, follows)| *follows)
    {
        let field = section.get(key);
        let place = field.map_or(section.place(), |field| field.place());
        let key = format!("training.{key}");
        found.add(place, Wrong::NoValidation { key });
    }
}

/// The mistake stands at the override that caused it, else at the ranks.
fn ranks_have_microbatches(
    training: &Training,
    resources: &Resources,
    places: Vec<Place>,
    found: &mut Found,
) {
    let (ranks, microbatches) = (resources.ranks, training.microbatches);
    if ranks > microbatches {
        let set = places.iter().find(|place| place.is_set());
        let place = set.or(places.first()).copied().unwrap_or(Place::Nowhere);
        let batch_size = training.batch_size;
        let enough = enough_microbatches(batch_size, ranks);
        found.add(
            place,
            Wrong::TooManyRanks {
                ranks,
                microbatches,
                batch_size,
                enough,
            },
        );
    }
}

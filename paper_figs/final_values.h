// What the runs of a cell reached at their last evaluation, as the mean over seeds with its 95 % interval.
#pragma once

#include <string>

#include "compare/verdict.h"
#include "run_set.h"

namespace attnlab {

// NaN where a run of the cell has none. Nats per token.
Interval final_loss(const RunCell& cell);
// Percent, over the seeds that were asked problems after training; NaN if none was. The interval is for other
// seeds and other problems (share_right), of one seed for other problems alone (Wilson's).
Interval final_accuracy(const RunCell& cell);
// Percent, mean over the seeds that were asked at step 0; NaN if none was.
double accuracy_before(const RunCell& cell);
// By the last evaluation of the first seed; 0 without one.
int64_t problems_asked(const RunCell& cell);

Interval in_percent(Interval share);

// A text of a run's config; "" if it has none.
std::string config_text(const RunRecord& run, const std::string& key);

// "VALUE,LOW,HIGH"; what there is not stays empty.
std::string csv_fields(const Interval& value);

}  // namespace attnlab

// Training loss by step: mean over seeds with the range over seeds, smoothed.
#include "smoothed_loss.h"

namespace attnlab {

Figure training_loss(const RunSet& runs) {
  const SmoothedLoss smooth = smoothed_loss(runs);
  Figure made{.drawings = draw_curves(runs, smooth.curves,
                                      {.name = "training_loss",
                                       .title = "Training loss",
                                       .y_label = "training loss (nats/token)",
                                       .measure = "loss",
                                       .summary = "line: mean, band: lowest to highest seed",
                                       .note = smoothing_note(smooth),
                                       .ends = Ends::band,
                                       .settled = 0.1})};
  if (made.drawings.empty()) made.missing = "no run has a training loss";
  return made;
}

}  // namespace attnlab

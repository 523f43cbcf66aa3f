// Stories of a plot of their own.
#pragma once

#include "data/story.h"

namespace attnlab {

// A story of a fixed plot (shopping, discounts, ages, …) with story.target steps. False: draw again.
bool tell_plot(Story& story);

}  // namespace attnlab

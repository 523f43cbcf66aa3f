// Stories about one quantity.
#pragma once

#include "data/story.h"

namespace attnlab {

// A story about one quantity that grows and shrinks step by step. False if it could not be completed with
// these draws; the caller draws again.
bool tell_chain(Story& story);

}  // namespace attnlab

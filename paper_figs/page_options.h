// How figures look on the page, as options of the programs that draw.
#pragma once

#include <cstdint>
#include <string>

#include "program.h"
#include "style.h"

namespace attnlab {

struct PageOptions {
  std::string width, labels;
  int64_t font_size = 7;
  bool no_title = false;
};

// --width, --font-size, --labels, --no-title.
void add_page_options(Program& program, PageOptions& options);

// Throws InputError for a width or size out of range, and for a file of labels that is none.
style::Page page_of(const PageOptions& options);

}  // namespace attnlab

// The files report.css, curves.js and curves_input.js, put into the library by CMake: programs need no
// installed files.
#pragma once

namespace attnlab::report {

extern const char* const report_css;
extern const char* const curves_js;
extern const char* const curves_input_js;  // needs curves_js before it

}  // namespace attnlab::report

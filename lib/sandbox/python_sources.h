// The files of python/, put into the library by CMake.
#pragma once

namespace attnlab {

extern const char* const wire_py;
extern const char* const guard_py;
extern const char* const candidate_py;
extern const char* const remote_py;
extern const char* const examiner_py;

}  // namespace attnlab

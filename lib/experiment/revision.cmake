# Writes the checkout's revision into OUT, with "+" where tracked files were changed.
execute_process(COMMAND git -C ${SOURCE} describe --always --abbrev=12 --dirty=+
                OUTPUT_VARIABLE revision OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT revision)
  set(revision unknown)
endif()
file(CONFIGURE OUTPUT ${OUT} CONTENT "#define ATTNLAB_REVISION \"${revision}\"\n")

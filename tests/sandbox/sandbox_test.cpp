#include "sandbox/sandbox.h"

#include "catch.h"
TEST_CASE("x") {}

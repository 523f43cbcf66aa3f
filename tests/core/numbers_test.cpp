#include "core/numbers.h"

#include <cstdint>
#include <limits>
#include <string>

#include "catch.h"

using namespace attnlab;

TEST_CASE("a text that is a whole number is that number") {
  CHECK(parse_number<int64_t>("0") == 0);
  CHECK(parse_number<int64_t>("-007") == -7);
  CHECK(parse_number<int64_t>("9223372036854775807") == std::numeric_limits<int64_t>::max());
  CHECK(parse_number<int64_t>("-9223372036854775808") == std::numeric_limits<int64_t>::min());
  CHECK(parse_number<uint64_t>("18446744073709551615") == std::numeric_limits<uint64_t>::max());
  CHECK(parse_number<unsigned>("fF", 16) == 255u);
}

TEST_CASE("a whole number with anything beside it is none") {
  for (const char* text :
       {"", " ", "-", "+1", " 1", "1 ", "1\n", "1.0", "1e3", "1_000", "0x10", "1,2", "--1", "one"}) {
    INFO("'" << text << "'");
    CHECK_FALSE(parse_number<int64_t>(text));
  }
  CHECK_FALSE(parse_number<int64_t>(std::string_view("1\0", 2)));
  CHECK_FALSE(parse_number<int64_t>("g", 16));
}

TEST_CASE("a whole number that the type can't hold is none") {
  CHECK_FALSE(parse_number<int64_t>("9223372036854775808"));
  CHECK_FALSE(parse_number<int32_t>("2147483648"));
  CHECK_FALSE(parse_number<int32_t>("-2147483649"));
  CHECK_FALSE(parse_number<uint32_t>("-1"));
  CHECK_FALSE(parse_number<uint32_t>("-0"));
}

TEST_CASE("only the text that was given is read") {
  const std::string text = "seed12.h5";
  CHECK(parse_number<int64_t>(std::string_view(text).substr(4, 2)) == 12);
  CHECK(parse_number<int64_t>(std::string_view(text).substr(4, 1)) == 1);
}

TEST_CASE("a decimal is the nearest double") {
  CHECK(parse_number<double>("0.1") == 0.1);
  CHECK(parse_number<double>(".5") == 0.5);
  CHECK(parse_number<double>("5.") == 5);
  CHECK(parse_number<double>("-1.5E-3") == -0.0015);
  CHECK(parse_number<double>("1.7976931348623157e308") == std::numeric_limits<double>::max());
  CHECK(std::signbit(parse_number<double>("-0").value()));
  CHECK(parse_number<float>("0.1") == 0.1f);
}

TEST_CASE("a decimal with anything beside it, or out of range, is none") {
  for (const char* text :
       {"", ".", "+1.5", " 1.5", "1.5 ", "1,5", "1.5.2", "1e", "0x1p3", "1e999", "-1e999", "1e-999"}) {
    INFO("'" << text << "'");
    CHECK_FALSE(parse_number<double>(text));
    CHECK_FALSE(parse_any_number<double>(text));
  }
}

TEST_CASE("what is not finite is a number only where it is asked for") {
  for (const char* text : {"inf", "-inf", "INFINITY", "nan", "-nan", "nan(1)"}) {
    INFO(text);
    CHECK_FALSE(parse_number<double>(text));
    REQUIRE(parse_any_number<double>(text));
    CHECK_FALSE(std::isfinite(*parse_any_number<double>(text)));
  }
  CHECK(parse_any_number<double>("-inf") == -std::numeric_limits<double>::infinity());
  CHECK(parse_any_number<double>("0.25") == 0.25);
}

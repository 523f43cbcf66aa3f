// One case for each rule of a safetensors file: the message names the tensor and what would be valid.
#include "raw_file.h"

using namespace attnlab;
using namespace attnlab::test;

namespace {

void check_refused(const std::string& bytes, const std::string& key, const std::string& text) {
  const std::string message = refusal_of(bytes);
  INFO(bytes.substr(0, 200));
  CHECK_THAT(message, ContainsSubstring("x.safetensors"));
  CHECK_THAT(message, ContainsSubstring(key.empty() ? "found" : ": " + key + ": found"));
  CHECK_THAT(message, ContainsSubstring(text));
  CHECK(message.find('\n') == std::string::npos);
}

// A file with 4 bytes of data and one tensor "w".
std::string one(const std::string& entry) { return raw_file("{\"w\":" + entry + "}", "\x01\x01\x01\x01"); }

std::string entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return "{\"dtype\":" + dtype + ",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}";
}

// Two tensors of bytes over 4 bytes of data.
std::string two(const std::string& first_shape, const std::string& first, const std::string& second_shape,
                const std::string& second) {
  return raw_file(
      "{\"a\":" + entry("\"U8\"", first_shape, first) + ",\"b\":" + entry("\"U8\"", second_shape, second) + "}",
      "\x01\x01\x01\x01");
}

}  // namespace

TEST_CASE("the hand-made files are valid where nothing is wrong with them") {
  CHECK(refusal_of(one(entry("\"F32\"", "[1]", "[0,4]"))).empty());
  CHECK(refusal_of(two("[1]", "[0,1]", "[3]", "[1,4]")).empty());
  CHECK(refusal_of(two("[3]", "[1,4]", "[1]", "[0,1]")).empty());
  CHECK(refusal_of(two("[0]", "[1,1]", "[4]", "[0,4]")).find("overlap") != std::string::npos);
  CHECK(refusal_of(two("[0,7]", "[4,4]", "[4]", "[0,4]")).empty());
}

TEST_CASE("a file too short for a header length is refused") {
  check_refused("", "", "a file of 0 bytes");
  check_refused("1234567", "", "a file of 7 bytes");
}

TEST_CASE("a header length beyond the file or the format's bound is refused") {
  check_refused(length_bytes(3) + "{}", "", "at most 2, the rest of the file");
  check_refused(length_bytes(100'000'001) + "{}", "", "at most 100000000");
  check_refused(length_bytes(UINT64_MAX) + "{}", "", "at most 100000000");
  check_refused(length_bytes(0), "", "an empty header");
}

TEST_CASE("a header that is not a JSON map is refused") {
  check_refused(raw_file("{\"w\":", ""), "", "expected valid JSON");
  check_refused(raw_file("{} {}", ""), "", "expected valid JSON");
  check_refused(raw_file("[]", ""), "", "begins with '{'");
  check_refused(raw_file(" {}", ""), "", "begins with '{'");
  check_refused(raw_file("{\"\xFF\":1}", ""), "", "expected valid JSON");
  check_refused(raw_file("{\"w\":1e999}", ""), "", "1e999, a number that no double holds");
}

TEST_CASE("a header that nests deeply or holds a long list is refused while it is parsed") {
  check_refused(raw_file("{\"w\":" + std::string(1'000'000, '['), ""), "w", "at most 8 levels");
  std::string ones = "[1";
  for (int i = 0; i < 64; ++i) ones += ",1";
  check_refused(one(entry("\"U8\"", ones + "]", "[0,1]")), "w", "at most 64 elements");
}

TEST_CASE("a name or a key that stands twice is refused") {
  const std::string w = "\"w\":" + entry("\"U8\"", "[4]", "[0,4]");
  check_refused(raw_file("{" + w + "," + w + "}", "1234"), "w", "the key twice");
  check_refused(one("{\"dtype\":\"U8\",\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[0,4]}"), "w.dtype",
                "the key twice");
}

TEST_CASE("a missing key is refused") {
  check_refused(one("{\"shape\":[4],\"data_offsets\":[0,4]}"), "w", "no dtype");
  check_refused(one("{\"dtype\":\"U8\",\"data_offsets\":[0,4]}"), "w", "no shape");
  check_refused(one("{\"dtype\":\"U8\",\"shape\":[4]}"), "w", "no data_offsets");
  check_refused(one("[1]"), "w", "a JSON array");
}

TEST_CASE("a dtype that is not supported is refused by name") {
  check_refused(one(entry("\"F8_E4M3\"", "[4]", "[0,4]")), "w", "dtype F8_E4M3");
  check_refused(one(entry("\"f32\"", "[1]", "[0,4]")), "w", "one of I64, F64, F32");
  check_refused(one(entry("32", "[1]", "[0,4]")), "w", "a dtype that is a JSON number");
}

TEST_CASE("a shape of anything but whole numbers from 0 is refused") {
  check_refused(one(entry("\"U8\"", "[-4]", "[0,4]")), "w", "shape with -4");
  check_refused(one(entry("\"U8\"", "[4.0]", "[0,4]")), "w", "shape with 4.0");
  check_refused(one(entry("\"U8\"", "[\"4\"]", "[0,4]")), "w", "shape with string");
  check_refused(one(entry("\"U8\"", "[9223372036854775808]", "[0,4]")), "w", "shape with 9223372036854775808");
  check_refused(one(entry("\"U8\"", "4", "[0,4]")), "w", "shape that is a JSON number");
}

TEST_CASE("a shape whose bytes overflow is refused, also beside a dimension of 0") {
  // 2⁶² · 4 bytes = 2⁶⁴, which wraps to the 0 bytes that the offsets claim
  check_refused(one(entry("\"F32\"", "[4611686018427387904]", "[4,4]")), "w", "fewer than 2^63 bytes");
  check_refused(one(entry("\"U8\"", "[4294967296,4294967296]", "[4,4]")), "w", "fewer than 2^63 bytes");
  check_refused(one(entry("\"U8\"", "[0,4294967296,4294967296]", "[4,4]")), "w", "fewer than 2^63 bytes");
}

TEST_CASE("offsets that are no pair of whole numbers are refused") {
  check_refused(one(entry("\"U8\"", "[4]", "[0]")), "w", "1 data_offsets");
  check_refused(one(entry("\"U8\"", "[4]", "[0,4,4]")), "w", "3 data_offsets");
  check_refused(one(entry("\"U8\"", "[4]", "[-4,0]")), "w", "data_offsets with -4");
  check_refused(one(entry("\"U8\"", "[4]", "\"0,4\"")), "w", "data_offsets that is a JSON string");
}

TEST_CASE("offsets that run backwards, leave the file or differ from the shape are refused") {
  check_refused(one(entry("\"U8\"", "[4]", "[4,0]")), "w", "an end at or after the begin");
  check_refused(one(entry("\"U8\"", "[5]", "[0,5]")), "w", "within the 4 bytes");
  check_refused(one(entry("\"U8\"", "[1]", "[9223372036854775806,9223372036854775807]")), "w", "within the 4");
  check_refused(one(entry("\"F32\"", "[2]", "[0,4]")), "w", "8 bytes for F32 of shape [2]");
  check_refused(one(entry("\"U8\"", "[]", "[0,4]")), "w", "1 bytes for U8 of shape []");
}

TEST_CASE("overlapping tensors and bytes of no tensor are refused") {
  check_refused(two("[3]", "[0,3]", "[2]", "[2,4]"), "b", "they overlap");
  check_refused(two("[4]", "[0,4]", "[4]", "[0,4]"), "b", "they overlap");
  check_refused(two("[1]", "[0,1]", "[2]", "[2,4]"), "b", "a hole");
  check_refused(two("[1]", "[1,2]", "[2]", "[2,4]"), "a", "a hole");
  check_refused(two("[1]", "[0,1]", "[2]", "[1,3]"), "", "4 bytes of data, expected 3");
  check_refused(raw_file("{}", "1"), "", "1 bytes of data, expected 0");
}

TEST_CASE("metadata of anything but texts is refused") {
  check_refused(raw_file("{\"__metadata__\":{\"epoch\":3}}", ""), "__metadata__.epoch", "a JSON number");
  check_refused(raw_file("{\"__metadata__\":[]}", ""), "__metadata__", "a JSON array");
}

TEST_CASE("a BOOL byte other than 0 and 1 is refused when the tensor is read") {
  check_refused(raw_file("{\"m\":" + entry("\"BOOL\"", "[2]", "[0,2]") + "}", "\x01\x02"), "m", "the byte 2");
}

TEST_CASE("names that could break the message into lines are shown in one, shortened") {
  check_refused(raw_file("{\"a\\nb\":[]}", ""), "a?b", "a JSON array");
  check_refused(raw_file("{\"" + std::string(5000, 'n') + "\":[]}", ""), std::string(200, 'n') + "...",
                "array");
}

TEST_CASE("what is no regular file is refused") {
  TemporaryFolder folder;
  CHECK_THAT(refusal(folder.path()), ContainsSubstring("found a folder"));
  CHECK_THAT(refusal(folder.path() / "none"), ContainsSubstring("none: found no readable file"));
  CHECK_THAT(refusal("/dev/null"), ContainsSubstring("found a special file"));
}

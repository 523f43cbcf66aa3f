#include "core/errors.h"

#include "catch.h"
#include "core/names.h"

using namespace attnlab;

TEST_CASE("a message stays one line, whatever a file held") {
  const InputError error(
      BadInput{.file = "a", .key = "b\nc", .found = std::string("'\0x'", 4), .expected = "d"});
  CHECK(std::string(error.what()) == "a: b?c: found '?x', expected d");
}

TEST_CASE("a message shows the beginning of what is long") {
  const std::string line = describe({.file = "a", .key = std::string(5000, 'k'), .found = "b"});
  CHECK(line == "a: " + std::string(2000, 'k') + "...: found b");
  std::string wide;
  for (int i = 0; i < 1000; ++i) wide += "€";
  const std::string cut = describe({.file = "a", .found = wide});
  CHECK(cut.size() == std::string("a: found ...").size() + 1998);  // whole characters
}

TEST_CASE("a bad input reads as one line with every known part") {
  const BadInput problem{.file = "exp.yaml",
                         .line = 3,
                         .key = "train.lr",
                         .found = "'fast'",
                         .expected = "a number above 0",
                         .nearest = "x"};
  CHECK(describe(problem) ==
        "exp.yaml:3: train.lr: found 'fast' (did you mean 'x'?), expected a number above 0");
  CHECK(describe({.file = "a", .found = "b"}) == "a: found b");
}

TEST_CASE("edit distance counts inserts, deletes, replacements and swaps once each") {
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("step", "steps") == 1);
  CHECK(edit_distance("setps", "steps") == 1);
  CHECK(edit_distance("mla_identiti", "mla_identity") == 1);
  CHECK(edit_distance("kitten", "sitting") == 3);
}

TEST_CASE("the nearest name is suggested only when it is near") {
  const std::vector<std::string> names{"gqa", "mla_identity", "mla_orthogonal"};
  CHECK(nearest_name("mla_identiy", names) == "mla_identity");
  CHECK(nearest_name("gpa", names) == "gqa");
  CHECK(nearest_name("transformer", names).empty());
}

TEST_CASE("of many names the five nearest are told, in their order") {
  CHECK(one_of({"a", "b"}) == "one of a, b");
  CHECK(one_of({"one", "two", "three", "four", "five"}, "x") == "one of one, two, three, four, five");
  const std::vector<std::string> names{"steps", "batch_size", "lr", "schedule", "stops", "seed", "beta1"};
  CHECK(one_of(names) == "one of steps, batch_size, lr, schedule, stops and 2 more");
  CHECK(one_of(names, "transformer") == one_of(names));
  const std::string near = one_of(names, "step");
  CHECK(near.starts_with("one of steps, "));
  CHECK(near.find("stops, seed") != std::string::npos);
  CHECK(near.ends_with(" and 2 more"));
  CHECK(near.find("schedule") == std::string::npos);
}

// Stories about people, ages, time, work, cooking and measuring.
#include "data/story_plots.h"

#include <algorithm>
#include <array>

#include "data/money_plots.h"
#include "data/str.h"

namespace attnlab {
namespace {

// Each person's number follows from the one before; the question asks for the last one or for all together.
bool people(Story& story) {
  static constexpr std::array<std::string_view, 6> things{"stickers", "books", "coins",
                                                          "cards",    "toys",  "shells"};
  const std::string items = str(story.random.pick(things));
  std::string name = str(story.person().name);
  std::vector<int64_t> amounts{story.random.between(3, story.scale.start)};
  story.say(fill("{S} has {n} {I}.", {{"S", name}, {"n", str(amounts[0])}, {"I", items}}));
  const bool all = story.target >= 2 && story.random.between(0, 2) > 0;
  while (story.left() > (all ? 1 : 0)) {
    const std::string next = str(story.person().name);
    const int64_t kind = story.random.between(0, 3), before = amounts.back();
    const int64_t n = kind == 0   ? story.number(story.scale.factor)
                      : kind == 1 ? story.divisor(before)
                      : kind == 2 ? story.number(story.scale.amount)
                                  : story.number(std::min(before - 2, story.scale.amount));
    static constexpr std::array<std::string_view, 4> texts{
        "{N} has {n} times as many {I} as {S}.", "{S} has {n} times as many {I} as {N}.",
        "{N} has {n} more {I} than {S}.", "{N} has {n} fewer {I} than {S}."};
    const int64_t amount = kind == 0   ? before * n
                           : kind == 1 ? before / std::max<int64_t>(n, 1)
                           : kind == 2 ? before + n
                                       : before - n;
    if (n < 2 || amount < 2 || amount > story.scale.cap / 3) return false;
    story.say(fill(texts[static_cast<size_t>(kind)], {{"N", next}, {"S", name}, {"n", str(n)}, {"I", items}}));
    amounts.push_back(story.line(next + " has", expression(before, "*/+-"[kind], n), amount, items));
    name = next;
  }
  if (!all) {
    story.say(fill("How many {I} does {S} have?", {{"I", items}, {"S", name}}));
    return true;
  }
  int64_t total = 0;
  for (const int64_t amount : amounts) total += amount;
  story.say(fill("How many {I} do they have together?", {{"I", items}}));
  story.line("Together they have", sum_expression(amounts), total, items);
  return true;
}

bool ages(Story& story) {
  if (story.target > 4) return false;
  const std::string a = str(story.person().name), b = str(story.person().name), c = str(story.person().name);
  const int64_t age = story.random.between(4, 20), factor = story.number(3);
  story.say(fill("{A} is {n} years old. {B} is {k} times as old as {A}.",
                 {{"A", a}, {"B", b}, {"n", str(age)}, {"k", str(factor)}}));
  int64_t last = story.line(b + " is", expression(age, '*', factor), age * factor, "years old");
  std::string name = b;
  if (story.left() >= 1 && story.random.between(0, 1) == 0) {
    const int64_t years = story.random.between(2, std::min<int64_t>(last - 2, 12));
    const bool older = story.random.between(0, 1) == 0;
    story.say(fill("{C} is {n} years {w} than {B}.",
                   {{"C", c}, {"B", b}, {"n", str(years)}, {"w", older ? "older" : "younger"}}));
    last = story.line(c + " is", expression(last, older ? '+' : '-', years),
                      older ? last + years : last - years, "years old");
    name = c;
  }
  if (story.left() == 0) {
    story.say("How old is " + name + "?");
    return true;
  }
  const int64_t later = story.random.between(2, 15);
  story.say(fill("How old will {N} be in {n} years?", {{"N", name}, {"n", str(later)}}));
  story.line(fill("In {n} years, {N} will be", {{"n", str(later)}, {"N", name}}), expression(last, '+', later),
             last + later, "years old");
  return story.left() == 0;
}

// Minutes a day, for days, in hours; or the sum of the parts of an evening.
bool practice_time(Story& story) {
  static constexpr std::array<std::string_view, 5> hobbies{"plays the piano", "runs", "swims", "paints",
                                                           "reads"};
  static constexpr std::array<int64_t, 7> minutes{10, 15, 20, 30, 40, 45, 90};
  const std::string name = str(story.person().name), hobby = str(story.random.pick(hobbies));
  const int64_t each = story.random.pick(minutes), days = story.number(story.scale.factor + 2);
  if (story.target > 3 || each * days > story.scale.cap) return false;
  story.say(fill("{S} {h} for {m} minutes a day for {d} days.",
                 {{"S", name}, {"h", hobby}, {"m", str(each)}, {"d", str(days)}}));
  int64_t total = story.line("The days take", expression(each, '*', days), each * days, "minutes");
  if (story.target == 1) {
    story.say("How many minutes is that in all?");
    return true;
  }
  if (story.target == 3) {
    const int64_t more = story.number(60);
    story.say(fill("On the next day, it is {n} minutes.", {{"n", str(more)}}));
    total = story.line("With the next day it is", expression(total, '+', more), total + more, "minutes");
  }
  if (total % 60 != 0 || total < 120) return false;
  story.say("How many hours is that in all?");
  story.line("In hours that is", expression(total, '/', 60), total / 60, "hours");
  return true;
}

// Eggs for cakes, from cartons.
bool recipe(Story& story) {
  if (story.target > 3) return false;
  const std::string name = str(story.person().name);
  const int64_t eggs = story.number(story.scale.factor), cakes = story.number(story.scale.factor + 3);
  const int64_t used = eggs * cakes;
  story.say(
      fill("A cake needs {e} eggs. {S} bakes {c} cakes.", {{"e", str(eggs)}, {"S", name}, {"c", str(cakes)}}));
  story.line("The cakes need", expression(eggs, '*', cakes), used, "eggs");
  if (story.target == 1) {
    story.say(fill("How many eggs does {S} need?", {{"S", name}}));
    return true;
  }
  if (story.target == 3) {
    const int64_t spare = story.number(std::min(story.scale.amount, used - 2));
    const int64_t k = story.divisor(used - spare);
    if (k == 0) return false;
    story.say(fill("{S} already has {n} eggs.", {{"S", name}, {"n", str(spare)}}));
    story.line(name + " still needs", expression(used, '-', spare), used - spare, "eggs");
  }
  const int64_t missing = story.value, k = story.divisor(missing);
  if (k == 0) return false;
  story.say(fill("Eggs come in cartons of {k}. How many cartons does {S} need to buy?",
                 {{"k", str(k)}, {"S", name}}));
  story.line(name + " needs", expression(missing, '/', k), missing / k, "cartons");
  return true;
}

// Two workers with different speeds.
bool workers(Story& story) {
  if (story.target > 4) return false;
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 5> jobs{{{"paints", "fences"},
                                                                                      {"packs", "boxes"},
                                                                                      {"washes", "cars"},
                                                                                      {"folds", "shirts"},
                                                                                      {"writes", "letters"}}};
  const auto& [verb, things] = story.random.pick(jobs);
  const std::string a = str(story.person().name), b = str(story.person().name), items = str(things);
  const int64_t first = story.number(story.scale.amount / 2), second = story.number(story.scale.amount / 2);
  const int64_t hours = story.number(story.scale.factor);
  story.say(fill("{A} {v} {x} {I} an hour. {B} {v} {y} {I} an hour.",
                 {{"A", a}, {"B", b}, {"v", str(verb)}, {"x", str(first)}, {"y", str(second)}, {"I", items}}));
  const int64_t rate =
      story.line("Together it is", expression(first, '+', second), first + second, items + " an hour");
  if (story.left() == 0) {
    story.say(fill("How many {I} is that in one hour together?", {{"I", items}}));
    return true;
  }
  if (rate * hours > story.scale.cap) return false;
  story.say(fill("They work for {h} hours.", {{"h", str(hours)}}));
  int64_t total = story.line("In that time it is", expression(rate, '*', hours), rate * hours, items);
  if (story.left() > 0) {
    const int64_t price = story.number(story.scale.factor);
    if (story.left() > 1 || total * price > story.scale.cap) return false;
    story.say(fill("They get ${p} for each one. How many dollars do they get in all?", {{"p", str(price)}}));
    story.line("They get", expression(total, '*', price), total * price, "", true);
    return true;
  }
  story.say(fill("How many {I} is that in all?", {{"I", items}}));
  return true;
}

// The fence of a rectangular garden.
bool fence(Story& story) {
  if (story.target < 2 || story.target > 4) return false;
  const std::string name = str(story.person().name);
  const int64_t length = story.number(story.scale.start / 2) + 1, width = story.number(length);
  story.say(fill("{S} has a garden that is {l} meters long and {w} meters wide. {S} puts a fence around it.",
                 {{"S", name}, {"l", str(length)}, {"w", str(width)}}));
  const int64_t half =
      story.line("One long and one short side are", expression(length, '+', width), length + width, "meters");
  const int64_t around = story.line("The fence is", expression(half, '*', 2), half * 2, "meters");
  if (story.left() == 0) {
    story.say("How many meters of fence is that?");
    return true;
  }
  const int64_t price = story.number(story.scale.factor);
  if (around * price > story.scale.cap) return false;
  story.say(fill("A meter of fence costs ${p}.", {{"p", str(price)}}));
  const int64_t cost = story.line("The fence costs", expression(around, '*', price), around * price, "", true);
  if (story.left() > 0) {
    const int64_t gate = story.number(story.scale.amount);
    story.say(fill("A gate costs ${g} more.", {{"g", str(gate)}}));
    story.line(name + " pays", expression(cost, '+', gate), cost + gate, "", true);
  }
  story.say(fill("How many dollars does {S} pay?", {{"S", name}}));
  return true;
}

// Hours of a trip from distance and speed, there and back.
bool trip(Story& story) {
  static constexpr std::array<std::string_view, 4> towns{"the lake", "the city", "the coast", "the village"};
  if (story.target > 3) return false;
  const std::string name = str(story.person().name), town = str(story.random.pick(towns));
  const int64_t speed = story.number(story.scale.start), hours = story.number(story.scale.factor);
  if (speed * hours * 2 > story.scale.cap) return false;
  story.say(fill("{S} drives {d} miles to {t} at {v} miles an hour.",
                 {{"S", name}, {"d", str(speed * hours)}, {"t", town}, {"v", str(speed)}}));
  story.line("The drive takes", expression(speed * hours, '/', speed), hours, "hours");
  if (story.left() == 0) {
    story.say("How many hours does the drive take?");
    return true;
  }
  int64_t total = hours;
  const int64_t stay = story.number(9);
  if (story.left() == 1) {
    story.say(fill("Then {S} stays there for {n} hours.", {{"S", name}, {"n", str(stay)}}));
    story.line("With the stay it is", expression(hours, '+', stay), hours + stay, "hours");
  } else {
    story.say(fill("{S} stays there for {n} hours and drives back at the same speed.",
                   {{"S", name}, {"n", str(stay)}}));
    total = story.line("Both drives take", expression(hours, '*', 2), hours * 2, "hours");
    story.line("With the stay it is", expression(total, '+', stay), total + stay, "hours");
  }
  story.say(fill("How many hours does {S} spend on this in all?", {{"S", name}}));
  return true;
}

}  // namespace

// Without those about money.
const std::vector<Plot>& everyday_plots() {
  static const std::vector<Plot> plots{people, people,  people, ages, practice_time,
                                       recipe, workers, fence,  trip};
  return plots;
}

bool tell_plot(Story& story) {
  const auto& plots = story.random.between(0, 4) < 2 ? money_plots() : everyday_plots();
  return story.random.pick(plots)(story) && story.left() == 0;
}

}  // namespace attnlab

// Stories with a plot of their own. Each function tells one and returns false if the drawn numbers do not come
// out whole, grow too large, or leave another number of steps than story.target.
#include <algorithm>
#include <array>

#include "data/story.h"

namespace attnlab {
namespace {

std::string str(int64_t value) { return std::to_string(value); }
std::string str(std::string_view value) { return std::string(value); }

constexpr std::array<std::string_view, 12> goods{"pens",  "notebooks", "apples", "balls",   "cups",    "hats",
                                                 "books", "kites",     "lamps",  "candles", "brushes", "maps"};

// The cost of some goods, told and solved.
int64_t purchase(Story& story, const std::string& name, const std::string& items) {
  const int64_t a = story.number(story.scale.factor);
  const int64_t p = story.number(std::min(story.scale.amount, story.scale.cap / a / 4));
  story.say(fill("{S} buys {a} {I} for ${p} each.", {{"S", name}, {"a", str(a)}, {"I", items}, {"p", str(p)}}));
  return story.line("The " + items + " cost", expression(a, '*', p), a * p, "", true);
}

// Goods of one or several kinds, then the total, the change, or what each friend pays.
bool shopping(Story& story) {
  const std::string name = str(story.person().name);
  const bool change = story.random.between(0, 1) == 0 && story.target % 2 == 0;
  const bool shared = !change && story.target % 2 == 0;
  const int64_t kinds = (story.target - (change || shared ? 1 : 0) + 1) / 2;
  int64_t total = 0;
  std::vector<std::string_view> bought;
  for (int64_t kind = 0; kind < kinds; ++kind) {
    const std::string_view items = story.random.pick(goods);
    if (std::find(bought.begin(), bought.end(), items) != bought.end()) return false;
    bought.push_back(items);
    const int64_t cost = purchase(story, name, str(items));
    total = kind == 0
                ? cost
                : story.line("So far " + name + " pays", expression(total, '+', cost), total + cost, "", true);
  }
  if (change) {
    const int64_t paid = (total / 10 + 1) * 10;
    story.say(fill("{S} pays with ${n}. How many dollars does {S} get back?", {{"S", name}, {"n", str(paid)}}));
    story.line(name + " gets back", expression(paid, '-', total), paid - total, "", true);
  } else if (shared) {
    const int64_t k = story.divisor(total);
    if (k == 0) return false;
    story.say(fill("The cost is shared equally by {n} people. How many dollars does each person pay?",
                   {{"n", str(k)}}));
    story.line("Each person pays", expression(total, '/', k), total / k, "", true);
  } else {
    story.say("How many dollars does " + name + " pay in all?");
  }
  return true;
}

// Price, percent off, new price, several pieces, delivery.
bool discount(Story& story) {
  static constexpr std::array<int64_t, 5> percents{10, 20, 25, 30, 50};
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 5> things{
      {{"coat", "coats"}, {"bike", "bikes"}, {"bag", "bags"}, {"game", "games"}, {"table", "tables"}}};
  if (story.target < 2) return false;
  const int64_t price = 10 * story.random.between(1, std::max<int64_t>(2, story.scale.start / 10));
  const int64_t percent = story.random.pick(percents);
  if (price * percent % 100 != 0) return false;
  const auto& [thing, things_name] = story.random.pick(things);
  const int64_t off = price * percent / 100;
  story.say(fill("A {t} costs ${p}. In a sale, the price is {c}% lower.",
                 {{"t", str(thing)}, {"p", str(price)}, {"c", str(percent)}}));
  story.line("The price goes down by", expression(price, '*', percent) + " / 100", off, "", true);
  int64_t cost = story.line("The new price is", expression(price, '-', off), price - off, "", true);
  if (story.left() == 0) {
    story.say(fill("How many dollars does the {t} cost now?", {{"t", str(thing)}}));
    return true;
  }
  const std::string name = str(story.person().name);
  const int64_t n = story.number(story.scale.factor);
  if (cost * n > story.scale.cap) return false;
  story.say(fill("{S} buys {n} {T} in the sale.", {{"S", name}, {"n", str(n)}, {"T", str(things_name)}}));
  cost = story.line("The " + str(things_name) + " cost", expression(cost, '*', n), cost * n, "", true);
  if (story.left() > 0) {
    const int64_t fee = story.number(story.scale.amount);
    story.say(fill("The delivery costs ${n} more.", {{"n", str(fee)}}));
    story.line(name + " pays", expression(cost, '+', fee), cost + fee, "", true);
  }
  story.say("How many dollars does " + name + " pay?");
  return story.left() == 0;
}

// Weeks of saving until a price is reached.
bool saving(Story& story) {
  const Person who = story.person();
  const std::string name = str(who.name);
  const int64_t weekly = story.number(story.scale.amount), weeks = story.number(story.scale.factor);
  const int64_t has = story.number(story.scale.start);
  if (weekly * weeks + has > story.scale.cap) return false;
  if (story.target == 1) {
    story.say(fill("{S} wants to save ${n}. {S} saves ${w} a week. How many weeks does {S} need?",
                   {{"S", name}, {"n", str(weekly * weeks)}, {"w", str(weekly)}}));
    story.line(name + " needs", expression(weekly * weeks, '/', weekly), weeks, "weeks");
    return true;
  }
  if (story.target > 3) return false;
  const int64_t price = weekly * weeks + has;
  story.say(fill("{S} wants to buy a camera for ${p}. {S} has ${h}.",
                 {{"S", name}, {"p", str(price)}, {"h", str(has)}}));
  int64_t missing = price - has;
  story.line(name + " still needs", expression(price, '-', has), missing, "", true);
  if (story.target == 3) {
    const int64_t gift = story.number(story.scale.amount);
    if ((missing - gift) % weekly != 0 || missing - gift < 2 * weekly) return false;
    story.say(fill("{S} gets ${g} as a gift.", {{"S", name}, {"g", str(gift)}}));
    story.line("After the gift " + name + " needs", expression(missing, '-', gift), missing - gift, "", true);
    missing -= gift;
  }
  story.say(fill("{S} saves ${w} a week. How many weeks does {S} need?", {{"S", name}, {"w", str(weekly)}}));
  story.line(name + " needs", expression(missing, '/', weekly), missing / weekly, "weeks");
  return true;
}

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

// Tickets for adults and children, and what is left of the money.
bool tickets(Story& story) {
  static constexpr std::array<std::string_view, 5> places{"zoo", "museum", "circus", "cinema", "pool"};
  if (story.target < 3 || story.target > 4) return false;
  const std::string place = str(story.random.pick(places));
  const int64_t adult = story.number(story.scale.amount / 2) + 1, child = story.number(adult - 1);
  const int64_t adults = story.number(story.scale.factor), children = story.number(story.scale.factor);
  story.say(
      fill("At the {p}, a ticket costs ${a} for an adult and ${c} for a child. "
           "A group has {n} adults and {m} children.",
           {{"p", str(std::string_view(place))},
            {"a", str(adult)},
            {"c", str(child)},
            {"n", str(adults)},
            {"m", str(children)}}));
  const int64_t first = story.line("The adults pay", expression(adults, '*', adult), adults * adult, "", true);
  const int64_t second =
      story.line("The children pay", expression(children, '*', child), children * child, "", true);
  const int64_t total = story.line("The group pays", expression(first, '+', second), first + second, "", true);
  if (total > story.scale.cap) return false;
  if (story.left() == 0) {
    story.say("How many dollars does the group pay in all?");
    return true;
  }
  const int64_t rest = story.number(story.scale.amount);
  story.say(fill("The group has ${n}. How many dollars are left after buying the tickets?",
                 {{"n", str(total + rest)}}));
  story.line("What is left is", expression(total + rest, '-', total), rest, "", true);
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

// Pay for hours on several days, with costs and a saving goal.
bool wages(Story& story) {
  static constexpr std::array<std::string_view, 5> jobs{"a bakery", "a farm", "a shop", "a garage",
                                                        "a library"};
  const std::string name = str(story.person().name), job = str(story.random.pick(jobs));
  const int64_t pay = story.number(std::min<int64_t>(story.scale.amount, 30));
  const int64_t hours = story.number(8), days = story.number(6);
  if (story.target < 2 || story.target > 4 || pay * hours * days > story.scale.cap) return false;
  story.say(fill("{S} works in {j} for {h} hours a day and earns ${p} an hour. {S} works {d} days a week.",
                 {{"S", name}, {"j", job}, {"h", str(hours)}, {"p", str(pay)}, {"d", str(days)}}));
  const int64_t daily =
      story.line("In a day " + name + " earns", expression(hours, '*', pay), hours * pay, "", true);
  int64_t total =
      story.line("In a week " + name + " earns", expression(daily, '*', days), daily * days, "", true);
  if (story.left() == 0) {
    story.say(fill("How many dollars does {S} earn in a week?", {{"S", name}}));
    return true;
  }
  const int64_t cost = story.number(std::min(story.scale.amount, total - 2));
  story.say(fill("Every week, {S} spends ${n} on the train.", {{"S", name}, {"n", str(cost)}}));
  total = story.line("After the train it is", expression(total, '-', cost), total - cost, "", true);
  if (story.left() == 0) {
    story.say(fill("How many dollars of a week's pay are left?", {}));
    return true;
  }
  const int64_t weeks = story.number(story.scale.factor);
  if (total * weeks > story.scale.cap) return false;
  story.say(fill("How many dollars are left after {n} weeks?", {{"n", str(weeks)}}));
  story.line(fill("After {n} weeks it is", {{"n", str(weeks)}}), expression(total, '*', weeks), total * weeks,
             "", true);
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
  story.say(fill("How many hours is {S} away until then?", {{"S", name}}));
  return true;
}

using Plot = bool (*)(Story&);
constexpr std::array<Plot, 14> plots{shopping,      shopping, discount, saving,  people, people, ages,
                                     practice_time, tickets,  recipe,   workers, fence,  wages,  trip};

}  // namespace

bool tell_plot(Story& story) {
  const bool told = story.random.pick(plots)(story);
  return told && story.left() == 0;
}

}  // namespace attnlab

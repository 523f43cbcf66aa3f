// Stories about prices, savings and wages.
#include "data/money_plots.h"

#include <algorithm>
#include <array>

#include "data/str.h"

namespace attnlab {
namespace {

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

}  // namespace

const std::vector<Plot>& money_plots() {
  static const std::vector<Plot> plots{shopping, shopping, discount, saving, tickets, wages};
  return plots;
}

}  // namespace attnlab

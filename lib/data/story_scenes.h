// The scenes in which stories about one quantity happen.
#pragma once

#include <string_view>
#include <vector>

namespace attnlab {

// {S} the person, {F} a friend, {I} the items, {n} an amount, {a} {b} factors, {f} a part ("half", "25%").
// Empty texts: the scene has no such event.
struct Scene {
  std::vector<std::string_view> items;
  std::string_view open, product, product_line;
  std::vector<std::string_view> gains, losses = {};
  std::string_view part_loss = {}, multiple = {};
  std::string_view share = {}, share_line = {};
  std::string_view state, question;
  bool holding = false;  // {S} owns the items: friends can be compared, goals set, items sold
  bool money = false;
};

const std::vector<Scene>& scenes();

}  // namespace attnlab

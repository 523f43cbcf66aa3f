// Claims that are planned before the runs: `claims` of exp.yaml as typed structs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/node.h"
#include "core/fields.h"
#include "stats/claim_word.h"

namespace attnlab {

// What a reviewer asks for beside the arms that are compared.
enum class Control { untrained_base, same_training, equal_parameters, chosen_rate, fresh_seeds };
template <>
struct EnumNames<Control> {
  static constexpr std::array<std::pair<std::string_view, Control>, 5> rows{
      {{"untrained_base", Control::untrained_base},
       {"same_training", Control::same_training},
       {"equal_parameters", Control::equal_parameters},
       {"chosen_rate", Control::chosen_rate},
       {"fresh_seeds", Control::fresh_seeds}}};
};

// One sentence about two arms: `arm` less `against`, paired by seed.
struct PlannedClaim {
  std::string id, metric, arm, against;
  ClaimDirection expect = ClaimDirection::lower;
  double matters = 0;
  std::optional<double> alpha, power, seed_sd, problem_sd, rest_sd;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"id", "short name, used once"}.must_be_given(), self.id);
    visit(Key{"metric",
              "training_loss, heldout_loss, accuracy, or a task's label, with a protocol as "
              "LABEL/PROTOCOL"}
              .must_be_given(),
          self.metric);
    visit(Key{"arm", "the arm that the claim is about"}.must_be_given(), self.arm);
    visit(Key{"against", "the arm that it is compared with"}.must_be_given(), self.against);
    visit(Key{"expect", "what is claimed of arm less against; not_higher, not_lower and equal: up to `matters`"}
              .must_be_given(),
          self.expect);
    visit(
        Key{"matters", "the smallest difference that matters: nats per token, points"}.above(0).must_be_given(),
        self.matters);
    visit(Key{"alpha", "instead of claims.alpha"}.above(0).at_most(0.5), self.alpha);
    visit(Key{"power", "instead of claims.power"}.above(0).at_most(0.999), self.power);
    visit(
        Key{"seed_sd", "assumed: standard deviation of the difference over seeds, in the metric's unit"}.above(
            0),
        self.seed_sd);
    visit(Key{"problem_sd", "assumed, of accuracy and tasks: of a problem's difference, in points"}.above(0),
          self.problem_sd);
    visit(Key{"rest_sd", "assumed, of accuracy and tasks: what is left of one seed's difference on one problem"}
              .above(0),
          self.rest_sd);
  }
};

struct ClaimsConfig {
  double alpha = 0.05, power = 0.8;
  std::string earlier;
  std::vector<std::string> add;
  std::vector<PlannedClaim> list;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(
        Key{"alpha",
            "chance of any wrong word among all claims at all sweep points, which share it evenly (Bonferroni)"}
            .above(0)
            .at_most(0.5),
        self.alpha);
    visit(
        Key{"power", "chance that a claim is shown where the difference is `matters`"}.above(0).at_most(0.999),
        self.power);
    visit(Key{"earlier",
              "folder or archive of earlier runs, whose scatter and times the plan is made with; none: as "
              "assumed"},
          self.earlier);
    visit(Key{"add",
              "controls to add where they are missing: untrained_base, same_training, chosen_rate. --dry-run "
              "names "
              "all that are missing"},
          self.add);
    visit(Key{"list", "the claims"}, self.list);
  }
};

// The claims of a plan and what they are to be judged by. Its text goes into every run file, its hash tells
// whether a verdict was planned before the data.
struct SealedClaims {
  std::string experiment;
  std::vector<int64_t> seeds;
  std::vector<std::string> sweep_points;
  std::string runs_sha256;
  ClaimsConfig claims;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"experiment", "its name"}, self.experiment);
    visit(Key{"seeds", "of the runs that are judged"}, self.seeds);
    visit(Key{"sweep_points", "at which each claim is judged"}, self.sweep_points);
    visit(Key{"runs_sha256", "of the configs of all runs"}, self.runs_sha256);
    visit(Key{"claims", "what is claimed"}, self.claims);
  }
  // α of one claim at one sweep point.
  double alpha_of(const PlannedClaim& claim) const;
  double power_of(const PlannedClaim& claim) const { return claim.power.value_or(claims.power); }
};

// "heldout_loss of mla lower than gqa".
std::string about(const PlannedClaim& claim);

// Reads `claims` of exp.yaml. `arms`: names that there are. Throws InputError with file and line.
ClaimsConfig read_planned_claims(const Node& node, const std::vector<std::string>& arms);

std::string seal_text(const SealedClaims& sealed);
// Reads it back. Throws InputError.
SealedClaims read_sealed(const std::string& text, const std::string& origin);

}  // namespace attnlab

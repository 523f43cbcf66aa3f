// Many ways of keeping a cache, each on many models: what measure_caches lays out before it measures.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "data/data_config.h"
#include "eval/task_config.h"
#include "state/cache_config.h"

namespace attnlab {

struct StudiedModel {
  std::string name, path, calibration;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"name", "what results call it"}.must_be_given(), self.name);
    visit(Key{"path", "its folder"}.must_be_given(), self.path);
    visit(Key{"calibration", "what calibrate_cache wrote for it, for storage kvquant"}, self.calibration);
  }
};

// Every policy (at every share, if it drops tokens) with every storage, on the models.
struct CacheSet {
  std::vector<PolicyConfig> policies{PolicyConfig{}};
  std::vector<double> shares;
  std::vector<StorageConfig> storages{StorageConfig{}};
  std::vector<std::string> models;
  int64_t problems = 0;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"policies", "policies with their keys; without it all tokens stay"}, self.policies);
    visit(
        Key{"shares",
            "share of a prompt's tokens that each policy which drops some keeps (lazyllm: that its last layers "
            "look at)"}
            .above(0)
            .at_most(1),
        self.shares);
    visit(Key{"storages", "storages with their keys; without it dense"}, self.storages);
    visit(Key{"models", "names of the models; without it all"}, self.models);
    visit(Key{"problems",
              "the first problems of each task only; 0: all. LazyLLM, and policies behind contexts, go through "
              "them "
              "one by one"}
              .at_least(0),
          self.problems);
  }
};

struct CacheStudy {
  std::string study;
  std::vector<StudiedModel> models;
  std::vector<CacheSet> sets;
  std::vector<TaskConfig> tasks;
  DataConfig text;
  int64_t texts = 16, text_tokens = 512, text_scored = 64;
  int64_t time_context = 1024, time_steps = 20, batch_size = 32;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"study", "its name in results"}.must_be_given(), self.study);
    visit(Key{"models", "models, each in a folder"}.must_be_given(), self.models);
    visit(Key{"sets", "ways of keeping the cache"}.must_be_given(), self.sets);
    visit(Key{"tasks", "what is asked under each of them"}, self.tasks);
    visit(Key{"text", "whose held-out part the likelihood is measured on"}, self.text);
    visit(Key{"texts", "texts whose likelihood is measured; 0: none"}.at_least(0), self.texts);
    visit(Key{"text_tokens", "tokens of a text"}.at_least(3), self.text_tokens);
    visit(Key{"text_scored", "its last tokens, which are predicted one by one through the cache"}.at_least(1),
          self.text_scored);
    visit(Key{"time_context", "tokens in the cache where a step is timed"}.at_least(1), self.time_context);
    visit(Key{"time_steps", "steps that are timed; 0: none"}.at_least(0), self.time_steps);
    visit(Key{"batch_size", "sequences at a time"}.at_least(1), self.batch_size);
  }
};

// One way, as a model has it.
struct CacheSetting {
  CacheConfig config;
  double share = 1;
  int64_t problems = 0;  // of each task; 0: all
  std::string storage;   // "kivi2": with its bits
  std::string text;      // "policy: h2o, share: 0.25": keys that are not at their defaults
};

// What can't be, of the options alone: two models of one name, a set of a model that isn't there, kvquant
// without a calibration, a budget below its window. Keys have no file.
std::optional<BadInput> study_problem(const CacheStudy& study);
// The ways of one model, each once, in the order of the sets. `study` must have no problem.
std::vector<CacheSetting> settings_of(const CacheStudy& study, const StudiedModel& model);

}  // namespace attnlab

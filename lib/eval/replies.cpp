#include "eval/replies.h"

#include <algorithm>

#include "core/errors.h"
#include "model/generate.h"
#include "tasks/text_pair.h"
#include "text/text_stream.h"

namespace attnlab {

std::vector<int64_t> TaskModel::encode_prompt(const std::string& text) const {
  auto ids = tokenizer.encode(text);
  if (bos_id) ids.insert(ids.begin(), *bos_id);
  if (ids.empty()) ids.push_back(prefix_id);
  return ids;
}

namespace {

// A reply while it grows: its text, and for each list of stop strings whether one has come.
class Growing {
 public:
  Growing(const TaskModel& model, const TaskData& data, std::vector<int64_t> prompt)
      : text_(model.tokenizer, {}, prompt) {
    std::set<std::vector<std::string>> watched;  // protocols often share theirs
    for (const Protocol protocol : data.protocols) {
      const auto& stops = preset_of(data.config.task, protocol).stops;
      if (watched.insert(stops).second) until_.emplace_back(model.tokenizer, stops, prompt);
    }
  }
  // True once nothing that comes can matter.
  bool feed(int64_t token) {
    text_.feed(token);
    bool all = true;
    for (auto& stream : until_) all &= stream.feed(token);
    return all;
  }
  std::string text() {
    text_.rest();
    return text_.text();
  }

 private:
  TextStream text_;
  std::vector<TextStream> until_;
};

struct Asked {
  ReplyPlace place;
  std::vector<int64_t> prompt;
  size_t context = 0;  // of its tokens, if it stands apart
};

// Where a cache acts behind contexts, context and question are encoded apart. What a prompt loses from the left
// is the context's.
Asked prompt_of(const TaskModel& model, const TaskData& data, ReplyPlace place, int64_t max_new_tokens) {
  const auto at = static_cast<size_t>(place.first);
  const std::string& text = data.prompts[at];
  if (!model.cache.behind_context)
    return {place, truncate_prompt(model.encode_prompt(text), model.window(), max_new_tokens)};
  const size_t bytes = data.context_bytes[at];
  ATTNLAB_CHECK(bytes > 0);
  auto ids = model.encode_prompt(text.substr(0, bytes));
  const size_t context = ids.size();
  const auto rest = model.tokenizer.encode(text.substr(bytes));
  ids.insert(ids.end(), rest.begin(), rest.end());
  const size_t whole = ids.size();
  Asked asked{place, truncate_prompt(std::move(ids), model.window(), max_new_tokens)};
  const size_t lost = whole - asked.prompt.size();
  if (lost >= context)
    throw InputError(BadInput{.key = data.config.label(),
                              .found = "a question that leaves no room for its context",
                              .expected = "a model that reads more tokens at once, or shorter replies"});
  asked.context = context - lost;
  return asked;
}

// Longest first: the batch never needs more memory than at its start.
std::vector<Asked> prompts_to_ask(const TaskModel& model, const TaskData& data,
                                  const std::set<ReplyPlace>& have, int64_t sample, int64_t max_new_tokens) {
  std::vector<Asked> asked;
  for (int64_t p = 0; p < data.size(); ++p) {
    if (have.count({p, sample})) continue;
    asked.push_back(prompt_of(model, data, {p, sample}, max_new_tokens));
  }
  std::stable_sort(asked.begin(), asked.end(),
                   [](const Asked& a, const Asked& b) { return a.prompt.size() > b.prompt.size(); });
  return asked;
}

void ask(const TaskModel& model, const TaskData& data, const std::vector<Asked>& asked, GenerateOptions options,
         const std::function<void(ReplyPlace, const std::string&)>& hear) {
  std::vector<std::vector<int64_t>> prompts;
  std::vector<Growing> growing;
  for (const auto& one : asked) {
    prompts.push_back(one.prompt);
    if (model.cache.behind_context) options.context_tokens.push_back(one.context);
    options.streams.push_back((static_cast<uint64_t>(one.place.second) << 32) +
                              static_cast<uint64_t>(one.place.first));
    growing.emplace_back(model, data, one.prompt);
  }
  options.on_token = [&](size_t i, int64_t token) { return growing[i].feed(token); };
  options.on_end = [&](size_t i) { hear(asked[i].place, growing[i].text()); };
  generate(model.decoder, prompts, options);
}

}  // namespace

void generate_replies(const TaskModel& model, const TaskData& data, const std::set<ReplyPlace>& have,
                      const std::function<void(ReplyPlace, const std::string&)>& hear) {
  const PrecisionScope scope(model.precision, model.decoder.device());
  const TaskConfig& config = data.config;
  auto stops = model.stop_ids;
  stops.push_back(model.eos_id);
  if (model.cache.behind_context)
    if (const auto problem = context_problem(data)) throw InputError(*problem);
  const int64_t longest = std::min(data.max_new_tokens(), model.window() - 1);
  for (int64_t sample = 0; sample < config.samples; ++sample)
    ask(model, data, prompts_to_ask(model, data, have, sample, longest),
        {.max_new_tokens = longest,
         .stop_tokens = stops,
         .sampling = {.temperature = config.temperature, .top_p = config.top_p},
         .seed = static_cast<uint64_t>(config.seed),
         .cache = model.cache,
         .batch_rows = static_cast<size_t>(model.batch_rows),
         .record_steps = model.record_steps,
         .batch_invariant = model.batch_invariant},
        hear);
}

}  // namespace attnlab

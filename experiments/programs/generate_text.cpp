// generate_text: a checkpoint goes on with a prompt.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "cache_option.h"
#include "checkpoint/end_ids.h"
#include "core/files.h"
#include "core/interrupt.h"
#include "core/json.h"
#include "core/progress.h"
#include "model/cache_calibration.h"
#include "model/decoder_weights.h"
#include "model/generate.h"
#include "text/chat.h"
#include "text/text_stream.h"
#include "text/utf8.h"
#include "torch_program.h"

namespace {

using namespace attnlab;
using Clock = std::chrono::steady_clock;

struct Options {
  std::string model, tokenizer, prompt, prompt_file, chat, system, cache, dtype = "float32", device = "auto";
  std::vector<std::string> stops;
  int64_t max_new_tokens = 128, top_k = 0, seed = 0, prefill_chunk = 512;
  double temperature = 0, top_p = 1;
  bool no_bos = false, only_new = false, no_graph = false;
};

void require_valid(const Options& o) {
  require_given("--model", o.model, "a model folder");
  require_range("--max-new-tokens", o.max_new_tokens, 1);
  require_range("--top-k", o.top_k, 0);
  require_range("--prefill-chunk", o.prefill_chunk, 1);
  const auto refuse = [](const char* option, double found, const char* expected) {
    throw InputError(BadInput{.file = option, .found = fmt::format("{}", found), .expected = expected});
  };
  if (!(o.temperature >= 0)) refuse("--temperature", o.temperature, "0 (greedy) or more");
  if (!(o.top_p > 0 && o.top_p <= 1)) refuse("--top-p", o.top_p, "more than 0, at most 1");
  if (o.prompt.empty() == o.prompt_file.empty())
    throw InputError(std::string("--prompt TEXT or --prompt-file FILE is needed, one of the two (see --help)"));
  if (!o.system.empty() && o.chat.empty()) throw InputError(std::string("--system needs --chat FORMAT"));
}

std::vector<int64_t> encode_prompt(const Options& o, const Tokenizer& tokenizer, std::string text) {
  if (!o.chat.empty()) {
    std::vector<ChatMessage> messages;
    if (!o.system.empty()) messages.push_back({"system", o.system});
    messages.push_back({"user", std::move(text)});
    text = format_chat(parse_name<ChatFormat>("--chat", o.chat), messages, /*generation_prompt=*/true);
  }
  auto ids = tokenizer.encode(text, /*add_special_tokens=*/!o.no_bos);
  if (ids.empty()) throw InputError(std::string("--prompt: no tokens in it"));
  return ids;
}

// What makes a prompt another one than was meant, without being a mistake.
void note_oddities(const Options& o, const Tokenizer& tokenizer, const std::vector<int64_t>& prompt,
                   int64_t longest) {
  std::vector<std::string> notes = tokenizer.notes();
  if (!o.chat.empty()) {
    const auto ends = stop_tokens(parse_name<ChatFormat>("--chat", o.chat));
    if (std::none_of(ends.begin(), ends.end(), [&](const auto& end) { return tokenizer.token_id(end); }))
      notes.push_back(fmt::format("--chat {}: the tokenizer has no {}, which ends a turn of this format",
                                  o.chat, join(ends, " or ")));
  }
  if (tokenizer.eos_id() && prompt.size() > 1 && prompt.back() == *tokenizer.eos_id() && !o.no_bos)
    notes.emplace_back("the prompt ends with the tokenizer's end token (--no-bos adds none)");
  if (const int64_t tokens = std::ssize(prompt) + o.max_new_tokens; tokens > longest)
    notes.push_back(
        fmt::format("{} tokens with those to come, and the model was made for {}", tokens, longest));
  print_notes(notes);
}

// What ends a text: the ids that the checkpoint's files name, and the chat format's end of turn.
std::vector<int64_t> stop_ids(const Options& o, const Checkpoint& checkpoint, const Tokenizer& tokenizer) {
  std::vector<int64_t> ids = end_ids(checkpoint);
  if (const auto eos = tokenizer.eos_id()) ids.push_back(*eos);
  if (!o.chat.empty())
    for (const auto& token : stop_tokens(parse_name<ChatFormat>("--chat", o.chat)))
      if (const auto id = tokenizer.token_id(token)) ids.push_back(*id);
  return ids;
}

std::string prompt_of(const std::string& file) {
  const std::string bytes = read_file(file);
  std::string text(without_byte_order_mark(bytes, file));
  if (!text::is_valid_utf8(text))
    throw InputError(
        BadInput{.file = file, .found = "bytes that are not UTF-8", .expected = "a text in UTF-8"});
  return text;
}

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// " (12.3 tokens/s)", or nothing where there is nothing to divide.
std::string speed(int64_t tokens, double seconds) {
  return tokens > 0 && seconds > 0 ? fmt::format(" ({:.1f} tokens/s)", static_cast<double>(tokens) / seconds)
                                   : "";
}

// The first token comes with the prompt's last logits: its time is the prompt's.
void print_times(int64_t prompt_tokens, double prefill_s, int64_t produced, double decode_s,
                 const std::string& how) {
  const std::string decoding =
      produced > 1 ? fmt::format(" in {:.2f} s{}", decode_s, speed(produced - 1, decode_s)) : "";
  fmt::print(stderr, "{} tokens of prompt in {:.2f} s{}, {} generated{}{}\n", prompt_tokens, prefill_s,
             speed(prompt_tokens, prefill_s), produced, decoding, how);
}

// On a GPU: whether steps were CUDA graphs, or why not.
std::string how_it_went(const GenerateReport& report, const Decoder& decoder) {
  if (!decoder.device().is_cuda()) return "";
  if (report.recorded_steps > 0)
    return fmt::format(", {} of {} steps as CUDA graphs", report.recorded_steps, report.steps);
  return report.why_not.empty() ? "" : ", without CUDA graphs: " + report.why_not;
}

void generate_text(const Options& o) {
  require_valid(o);
  const auto device = parse_device(o.device);
  const CacheConfig cache = read_cache_option(o.cache);
  note_idle_cache_keys(cache);
  const auto checkpoint = Checkpoint::open(o.model);
  require_cache_for(read_checkpoint_form(checkpoint), cache);
  const auto tokenizer = Tokenizer::load(o.tokenizer.empty() ? o.model : o.tokenizer);
  const auto prompt = encode_prompt(o, tokenizer, o.prompt_file.empty() ? o.prompt : prompt_of(o.prompt_file));
  const auto decoder = load_decoder(checkpoint, parse_dtype(o.dtype), device);
  print_notes(checkpoint.notes());
  if (const auto most = std::max_element(prompt.begin(), prompt.end()); *most >= decoder->config().vocab_size)
    throw InputError(BadInput{.file = "--tokenizer",
                              .found = fmt::format("token {}", *most),
                              .expected = fmt::format("the model's {} tokens", decoder->config().vocab_size)});
  const auto ends = stop_ids(o, checkpoint, tokenizer);
  note_oddities(o, tokenizer, prompt, decoder->config().longest_sequence());
  catch_interrupts();
  TextStream stream(tokenizer, o.stops, prompt);
  if (o.chat.empty() && !o.only_new) fmt::print("{}", tokenizer.decode(prompt));
  const auto start = Clock::now();
  double prefill_s = 0;
  int64_t produced = 0;
  const auto hear = [&](size_t, int64_t token) {
    if (produced++ == 0) prefill_s = seconds_since(start);
    const bool stopped = stream.feed(token);
    fmt::print("{}", stream.take());
    std::fflush(stdout);
    return stopped || interrupted();
  };
  GenerateReport report;
  generate(*decoder, {prompt},
           {.max_new_tokens = o.max_new_tokens,
            .stop_tokens = ends,
            .sampling = {.temperature = o.temperature, .top_k = o.top_k, .top_p = o.top_p},
            .seed = static_cast<uint64_t>(o.seed),
            .prefill_chunk = o.prefill_chunk,
            .cache = cache_plan_for(cache, *decoder),
            .record_steps = !o.no_graph,
            .report = &report,
            .on_token = hear});
  fmt::print("{}\n", stream.rest());
  std::fflush(stdout);  // in front of what standard error says
  const double all_s = seconds_since(start);
  if (produced == 0) prefill_s = all_s;  // a stop token came first
  print_times(std::ssize(prompt), prefill_s, produced, all_s - prefill_s, how_it_went(report, *decoder));
  if (interrupted()) throw Interrupted{};
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  TorchProgram program(
      {.name = "generate_text",
       .usage = "--model DIR --prompt TEXT [options]",
       .about = "Prints a prompt and goes on with it, greedily unless a temperature is given. The "
                "text goes to standard "
                "output as it is made,\ntokens/s to standard error.",
       .example = "generate_text --model data/base_small --prompt 'Question: ' --max-new-tokens 64",
       .exits = "0 done, 1 failed while running, 2 bad input, 130 interrupted"});
  program.option("model", o.model, "DIR", "the model's folder in Hugging Face's layout (required)")
      .option("prompt", o.prompt, "TEXT", "what to go on with")
      .option("prompt-file", o.prompt_file, "FILE", "the prompt from a file")
      .option("max-new-tokens", o.max_new_tokens, "N", "longest continuation")
      .option("temperature", o.temperature, "T", "0: the likeliest token always")
      .option("top-k", o.top_k, "K", "sample from the K likeliest tokens only; 0: all")
      .option("top-p", o.top_p, "P", "sample from the fewest tokens with this share")
      .option("seed", o.seed, "N", "of the sampling")
      .option("chat", o.chat, "FORMAT", "the prompt is a user's turn: " + join(all_names<ChatFormat>()))
      .option("system", o.system, "TEXT", "the system's turn before it (with --chat)")
      .option("stop", o.stops, "TEXT", "end before this text; may be repeated")
      .flag("no-bos", o.no_bos, "do not add the tokenizer's special tokens to the prompt")
      .flag("no-graph", o.no_graph, "on a GPU: launch each kernel of a step by itself")
      .flag("only-new", o.only_new, "print the continuation without the prompt (with --chat it is so anyway)")
      .option("tokenizer", o.tokenizer, "PATH", "tokenizer file or folder (default: the model's)")
      .option("prefill-chunk", o.prefill_chunk, "N", "tokens of the prompt that are computed at a time");
  add_cache_option(program, o.cache);
  add_compute_options(program, o.dtype, o.device);
  return program.run(argc, argv, [&] { generate_text(o); });
}

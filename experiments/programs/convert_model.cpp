// convert_model: a GQA checkpoint in another form, streamed layer by layer, with what each stage did to it.
#include <fmt/format.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "convert/conversion_folder.h"
#include "convert/conversion_json.h"
#include "convert_inputs.h"
#include "core/interrupt.h"
#include "core/progress.h"
#include "model/decoder_weights.h"
#include "model/families/families.h"
#include "torch_program.h"

namespace {

using namespace attnlab;
using Clock = std::chrono::steady_clock;

// "converting: layer 3 of 32, 12 s, 1m40s left".
class Progress {
 public:
  void operator()(const std::string& what, int64_t done, int64_t of) {
    if (interrupted()) throw Interrupted{};
    if (what != what_) start_ = Clock::now(), first_ = done;
    what_ = what;
    const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    const auto made = static_cast<double>(done - first_);
    const std::string left =
        done > first_ && done < of
            ? fmt::format(", {} left", format_duration(seconds / made * static_cast<double>(of - done)))
            : "";
    line_.update(fmt::format("{}: layer {} of {}, {}{}", what, std::min(done + 1, of), of,
                             format_duration(seconds), left));
  }

 private:
  ProgressLine line_;
  std::string what_;
  Clock::time_point start_;
  int64_t first_ = 0;
};

// All that the result depends on, and what a killed run is recognised by.
nlohmann::ordered_json plan_of(const ConvertOptions& o, const Checkpoint& checkpoint,
                               const std::vector<ConversionStep>& steps, torch::ScalarType stored,
                               const CalibrationRows& rows, const ConversionData& data) {
  return {{"model", checkpoint.weights_sha256()},
          {"to", o.to},
          {"options", options_to_json(steps.front().to)},
          {"steps", steps_to_json(steps)},
          {"approximate_qk_norm", o.approximate_qk_norm},
          {"dtype", stored_name(stored)},
          {"calibration", rows.sha256},
          {"calibration_precision", o.precision},
          {"calibrated_on", o.calibrated_on},
          {"heldout_precision", o.heldout_precision},
          {"measured", o.measured},
          {"calibration_tokens", data.calibration.tokens()},
          {"heldout_tokens", data.heldout.tokens()}};
}

nlohmann::ordered_json report_of(nlohmann::ordered_json plan, const Transform& transform,
                                 const ConversionReport& report) {
  const ModelForm& form = transform.stages().back().form;
  const auto settled = transform.settled();
  plan["settled_options"] = options_to_json(settled.front().to);
  plan["settled_steps"] = steps_to_json(settled);
  plan["layout"] = is_native(form) ? name_of(form.config.family) : kOwnModelType;
  const std::string because = transform.own_layout_because();
  if (!because.empty()) plan["own_layout_because"] = because;
  plan.update(to_json(report));
  return plan;
}

// What the last stage keeps beyond the form that was asked for.
std::string more_kept(const Transform& transform, const ConversionReport& report) {
  const auto& stages = report.stages;
  if (stages.size() < 2 || !is_native(transform.stages().back().form)) return "";
  const int64_t asked = stages[stages.size() - 2].cached_numbers, kept = stages.back().cached_numbers;
  if (kept <= asked) return "";
  return fmt::format(
      "kept: {} numbers a token where the form has {}: in stock DeepSeek-V3 a latent number a layer makes its "
      "norm the identity\n",
      kept, asked);
}

// "chosen: freqfold=2": options that were left open, as --set takes them. Lists stand in conversion.json.
std::string chosen(const std::vector<ConversionStep>& asked, const std::vector<ConversionStep>& settled) {
  std::vector<std::string> options;
  for (size_t i = 0; i < asked.size() && i < settled.size(); ++i) {
    const auto before = options_to_json(asked[i].to), after = options_to_json(settled[i].to);
    for (const auto& [key, value] : after.items())
      if (value.is_primitive() && !value.is_null() && (!before.contains(key) || before[key] != value))
        options.push_back(key + "=" + (value.is_string() ? value.get<std::string>() : value.dump()));
  }
  return options.empty() ? "" : "chosen: " + join(options) + "\n";
}

void convert(const ConvertOptions& o) {
  check_options(o);
  const torch::NoGradGuard no_grad;
  const Devices devices(parse_devices(o.device));
  const auto checkpoint = Checkpoint::open(o.model);
  const ModelForm base = read_checkpoint_form(checkpoint);
  check_checkpoint(checkpoint, base);
  print_notes(checkpoint.notes());
  const auto stored = stored_dtype(o, checkpoint);
  const auto steps = read_steps(o, base.config);
  const TransformOptions how{
      .approximate_qk_norm = o.approximate_qk_norm, .dtype = stored, .calibrated_on = calibrated_on(o, steps)};
  auto transform = make_transform(base, steps, how);
  const CalibrationRows rows = read_rows(o, *transform, base.config);
  const ConversionData data = data_of(o, rows, *transform);
  const auto plan = plan_of(o, checkpoint, steps, stored, rows, data);
  ConversionFolder folder(o.out, plan, stored);
  const ModelSource source{.form = base,
                           .layer =
                               [&](int64_t layer) {
                                 return read_layer_weights(checkpoint, base, layer, torch::kFloat32,
                                                           devices.first());
                               },
                           .outer = read_outer_weights(checkpoint, base, stored, torch::kCPU),
                           .devices = devices};
  Progress progress;
  if (folder.settled().is_null()) {
    transform->prepare(source, data, std::ref(progress));
    folder.settle(steps_to_json(transform->settled()));
  } else {
    transform = make_transform(base, steps_from_json(folder.settled()), how);
  }
  const auto report = run_conversion(source, *transform, data, folder, stored, std::ref(progress));
  folder.finish(transform->stages().back().form, checkpoint, report_of(plan, *transform, report));
  fmt::print("{}{}{}", conversion_table(report), chosen(steps, transform->settled()),
             more_kept(*transform, report));
  const std::string because = transform->own_layout_because();
  if (!because.empty()) fmt::print("in the project's own layout, because of {}\n", because);
}

}  // namespace

int main(int argc, char** argv) {
  ConvertOptions o;
  TorchProgram program(
      {.name = "convert_model",
       .usage = "--model DIR --to FORM --out DIR [options]",
       .about =
           "Converts a checkpoint: GQA into another form of attention, any model's matrices into fewer bits. "
           "Prints what each stage changed.",
       .example = "convert_model --model data/base_small --to mla_orthogonal --out /tmp/orthogonal",
       .interrupted = "interrupted; the same command goes on at this layer"});
  program.option("model", o.model, "DIR", "the model's folder in Hugging Face's layout (required)")
      .option("to", o.to, "FORM", join(target_names()) + " (required)")
      .option("out", o.out, "DIR", "the folder to write; one where this was interrupted goes on (required)")
      .option("set", o.settings, "KEY=VALUE",
              "an option of the form, or cache=SHARE for ranks that keep this part of the model's cache "
              "(may be repeated)")
      .option("then", o.then, "STEP",
              "another conversion behind it: 'FORM@LAYERS [KEY=VALUE ...]' (may be repeated); --to takes "
              "@LAYERS, too")
      .option("calibration", o.calibration, "FILE",
              "text, .jsonl with \"text\" or as generate_data writes it, or .safetensors with calibration_ids")
      .option("heldout", o.heldout, "FILE", "what to measure on; absent: the text behind that for calibration")
      .option("tokens", o.rows.tokens, "N", "tokens for calibration, at most")
      .option("row-length", o.rows.row_length, "N", "tokens of a row of text")
      .option("calibration-precision", o.precision, "NAME",
              "float32, or bf16_mixed: calibration text goes through faster and less exactly")
      .option(
          "calibrate-on", o.calibrated_on, "NAME",
          "stages: each on the model that the ones before left; base (mla_deepseek): the compression on the "
          "model that still has its rotary position, which saves a pass")
      .option("heldout-tokens", o.rows.heldout_tokens, "N", "tokens to measure on, at most")
      .option("heldout-precision", o.heldout_precision, "NAME",
              "float32, or bf16_mixed: measured faster, and no finer than bfloat16 rounds")
      .option("measure", o.measured, "NAME",
              "stages: the model after each; ends: the base and the result alone; none")
      .flag("approximate-qk-norm", o.approximate_qk_norm,
            "norms of query and key heads (Qwen3) as constant factors");
  program
      .option("dtype", o.dtype, "TYPE",
              "what the result is stored in: auto (as the model), float32, bfloat16, float16")
      .option(
          "device", o.device, "DEVICE",
          "cpu, cuda, cuda:N, or auto; or several (cuda:0,cuda:1): they share the text, to the bits of one");
  return program.run(argc, argv, [&] {
    catch_interrupts();
    convert(o);
  });
}

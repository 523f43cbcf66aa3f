#include "experiment/run/run_one.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <future>

#include "compare/planned_verdict.h"
#include "config/document.h"
#include "core/files.h"
#include "core/interrupt.h"
#include "core/numbers.h"
#include "experiment/arms/arm_model.h"
#include "experiment/inputs/provenance.h"
#include "experiment/run/domain_loader.h"
#include "experiment/run/evaluation.h"
#include "experiment/run/failure_message.h"
#include "experiment/run/run_header.h"
#include "experiment/run/run_ranks.h"
#include "experiment/run/run_state.h"
#include "experiment/tasks/run_tasks.h"
#include "model/decoder_weights.h"
#include "results/evaluation_file.h"
#include "results/run_events.h"
#include "results/run_file.h"
#include "results/run_reader.h"
#include "train/determinism.h"
#include "train/finite_watch.h"
#include "train/pruner.h"
#include "train/trainable.h"
#include "train/trainer.h"

namespace attnlab {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// All that one run works with.
class RunSession {
 public:
  RunSession(const Plan& plan, const PlannedRun& run, Inputs& inputs, Teachers& teachers, torch::Device device,
             Reporter& reporter, World& world)
      : world_(world),
        plan_(plan),
        run_(run),
        config_(run.config),
        files_(files_of(run)),
        reporter_(reporter),
        deterministic_(config_.train.deterministic, device),
        base_(inputs.base(config_.base)),
        data_(inputs.data(config_.data)),
        stream_(inputs.stream(config_)),
        evaluator_(config_, base_, *data_),
        tasks_(plan, run, base_, world),
        model_(make_model(plan, device)),
        teacher_(teachers.get(config_, base_, device)),
        writer_(open_writer(device)) {  // compares with the base, in float32
    if (config_.train.domains) domains_.emplace(config_, *base_, *data_);
    start_training();
    if (!config_.train.prune) return;
    pruner_.emplace(*model_.decoder, *config_.train.prune, static_cast<uint64_t>(config_.seed));
    trainer_->set_pruner(&*pruner_);
  }

  void execute(size_t place) {
    try {
      try {
        resume();
        open_logs();
        reporter_.begin(place, run_, progress_.step);
        if (stream_->truncated_examples() > 0)
          reporter_.note(run_name(run_) + ": " + describe_training(config_, *data_, *stream_));
        for (const auto& note : tasks_.notes()) reporter_.note(run_name(run_) + ": " + note);
        evaluate_if_due();
        if (progress_.step == 0 && config_.eval.before) evaluate_tasks();
        train();
      } catch (const Interrupted&) {
        save_state();
        throw;
      }
      finish();
    } catch (const InputError& error) {  // a damaged state
      fail(error.what());
      throw;
    } catch (const RunError& error) {
      fail(error.what());
      throw;
    } catch (const c10::Error& error) {  // no memory on the device, most often
      const std::string message = failure_message(error, config_.train);
      fail(message);
      throw RunError(fmt::format("{}: step {}: {}", run_name(run_), progress_.step, message));
    }
  }

 private:
  ArmModel make_model(const Plan& plan, torch::Device device) {
    return convert_arm_model(config_, *base_, *data_, device, plan.results,
                             [&](const std::string& text) { reporter_.note(text); });
  }

  // Ranks that read other files than the others would train on them unnoticed.
  void require_same_inputs() {
    if (world_.is_alone()) return;
    world_.require_same("config of the run", sha256(to_yaml(flatten(config_))));
    world_.require_same("base.path (SHA-256 of the weights)", base_->weights_sha256);
    world_.require_same("tokenizer (SHA-256)", base_->tokenizer_sha256);
    world_.require_same("data (SHA-256)", data_->sha256);
    if (teacher_.decoder) world_.require_same("teacher (SHA-256)", teacher_.sha256);
  }

  static Decoder& in_precision(Decoder& decoder, Precision precision) {
    decoder.to(weight_type(precision));
    return decoder;
  }

  std::optional<RunWriter> open_writer(torch::Device device) {
    require_same_inputs();
    std::optional<RunWriter> writer;
    world_.first_does([&] { writer.emplace(open_file(device)); });
    return writer;
  }

  RunWriter open_file(torch::Device device) {
    if (std::filesystem::exists(files_.results)) {
      // The same number of threads adds in the same order.
      const auto provenance = read_run(files_.results, false).header.provenance;
      if (const int64_t threads = threads_in(provenance); threads > 0 && device.is_cpu())
        at::set_num_threads(static_cast<int>(threads));
      return RunWriter::resume(files_.results, [&](RunHeader& header) { note_ranks(header.provenance); });
    }
    remove_states(files_.state);  // of a run whose file was deleted
    remove_tasks_files(files_.results);
    auto header = make_run_header(run_, *base_, *data_, *stream_, model_, evaluator_, device, reporter_);
    if (teacher_.decoder) header.provenance.emplace_back("teacher_sha256", teacher_.sha256);
    note_ranks(header.provenance);
    if (plan_.claims) {
      const std::string text = seal_text(*plan_.claims);
      header.provenance.emplace_back(plan_hash_key, sha256(text));
      header.provenance.emplace_back(plan_text_key, text);
    }
    if (plan_.repeats)
      for (const auto& line : changed_inputs(plan_.repeats->provenance, header.provenance))
        reporter_.note(run_name(run_) + ": " + line);
    return RunWriter::create(files_.results, header);
  }

  // Which ranks make the steps from here on. A run of one rank, as long as it was never of several, says
  // nothing.
  void note_ranks(FlatFields& provenance) const {
    if (!tells_ranks(provenance, world_.hosts())) return;  // no state is opened in vain
    const auto state = newest_state(files_.state);
    add_ranks(provenance, (state ? step_of(*state) : 0) + 1, world_.hosts());
  }

  void start_training() {
    trainer_.emplace(in_precision(*model_.decoder, config_.train.precision), config_.train, teacher_.decoder,
                     world_);
  }

  // From here on the smaller model trains. `weights`: its own, or none where a state has them.
  void become(const DecoderConfig& config, const TensorMap* weights) {
    const auto device = model_.decoder->device();
    trainer_.reset();
    pruner_.reset();
    model_.decoder = std::make_shared<Decoder>(native_form(config));
    if (weights) load_weights(*model_.decoder, *weights);
    model_.decoder->to(device);
    set_trainable(*model_.decoder,
                  trainable_names(*model_.decoder, config_.train.trainable, "train.trainable"));
    start_training();
  }

  void cut_if_due() {
    if (!pruner_ || progress_.step != config_.train.prune->steps) return;
    settle_nonfinite();
    const double expected = pruner_->sparsity();
    const CutModel cut = pruner_->cut();
    int64_t parameters = 0;
    for (const auto& [name, tensor] : cut.weights) parameters += tensor.numel();
    become(cut.config, &cut.weights);
    reporter_.note(
        fmt::format("{}: step {}: cut to {} layers of {} KV heads and {} columns, {} numbers wide: {} "
                    "parameters of {} (masks expected {:.1f} % of the matrices gone)",
                    run_name(run_), progress_.step, cut.config.n_layers, cut.config.n_kv_heads, cut.config.d_ff,
                    cut.config.d_model, parameters, model_.parameters_total, 100 * expected));
  }

  void follow_domains() {
    if (!domains_ || !domains_->is_due(progress_.step) || progress_.step + 1 >= config_.train.steps) return;
    settle_nonfinite();
    if (pruner_) pruner_->show_cut();
    reporter_.note(fmt::format("{}: step {}: {}", run_name(run_), progress_.step,
                               domains_->follow(*model_.decoder, progress_.step)));
  }

  static int64_t step_of(const SafetensorsFile& state) {
    const auto found = state.metadata().find("step");
    return found == state.metadata().end() ? 0 : parse_number<int64_t>(found->second).value_or(0);
  }

  void resume() {
    std::optional<FoundState> state;
    const auto found = world_.first_says([&] {
      state = find_state(files_.state);
      return std::string(state ? "yes" : "no");
    });
    if (found == "no") return;
    if (!state) {
      progress_ = trainer_->load(nullptr);
      return;
    }
    const bool is_cut = pruner_ && step_of(state->file) >= config_.train.prune->steps;
    if (is_cut) become(pruned_config(model_.decoder->config(), *config_.train.prune), nullptr);
    progress_ = trainer_->load(state->file);
    if (domains_) domains_->restore(progress_.shares, state->file.path().string());
    for (const auto& problem : state->damaged)
      reporter_.note(
          fmt::format("{}: {}; going on from an older one, step {}", run_name(run_), problem, progress_.step));
  }

  void open_logs() {
    if (!world_.is_first()) return;
    for (const RunLog log : plan_.log)
      if (log == RunLog::tensorboard)
        events_.emplace(plan_.results / "tensorboard", read_run(files_.results, false), progress_.step);
  }

  void save_state() {
    settle_nonfinite();
    if (writer_) note_best();
    if (domains_) progress_.shares = domains_->text();
    trainer_->save(files_.state, progress_);
  }

  void note_best() {
    for (const auto& row : writer_->evaluations()) {
      const bool better = !progress_.best_heldout_loss || row.heldout_loss < *progress_.best_heldout_loss;
      if (row.step > progress_.step || row.heldout_tokens == 0 || !better) continue;
      progress_.best_heldout_loss = row.heldout_loss;
      progress_.best_heldout_step = row.step;
    }
  }

  void finish() {
    settle_nonfinite();
    evaluate_tasks();
    if (keeps_weights(config_.train, model_.parameters_total)) trainer_->make_whole();
    world_.first_does([&] { close_files(); });
  }

  void close_files() {
    if (keeps_weights(config_.train, model_.parameters_total)) {
      save_arm_model(files_.model, *model_.decoder, *base_);
      reporter_.note(run_name(run_) + ": trained weights in " + files_.model.string());
    }
    writer_->set_status(RunState::complete, progress_.step);
    remove_states(files_.state);
  }

  void fail(const std::string& message) {
    if (writer_) writer_->set_status(RunState::failed, progress_.step, message);
  }

  // Asks which steps were not finite, records them and, unless they are to be skipped, ends the run at the
  // first. True if the last step is one of them.
  bool settle_nonfinite() {
    const auto steps = watch_.take();
    for (const auto& bad : steps) {
      const auto what = fmt::format("{}: step {}: the loss is {:.4g}, the gradient's norm {:.4g}",
                                    run_name(run_), bad.step, bad.loss, bad.gradient_norm);
      if (writer_)
        writer_->put_nonfinite({.step = bad.step, .loss = bad.loss, .gradient_norm = bad.gradient_norm});
      if (config_.train.on_nonfinite == OnNonfinite::skip) {
        reporter_.note(what + ": skipped");
        continue;
      }
      progress_.step = bad.step - 1;
      throw RunError(what);
    }
    return !steps.empty() && steps.back().step == progress_.step;
  }

  // The next step's batches are made while this one runs.
  void train() {
    const auto prepare = [this](int64_t step) {
      if (domains_) return std::async(std::launch::async, domains_->step(step));
      const std::function<std::vector<Batch>()> make = [this, step] { return stream_->batches(step - 1); };
      return std::async(std::launch::async, make);
    };
    if (progress_.step == config_.train.steps) return;
    auto next = prepare(progress_.step + 1);
    logged_ = progress_;
    reporter_.training();
    while (progress_.step < config_.train.steps) {
      const auto batches = next.get();
      if (progress_.step + 2 <= config_.train.steps) next = prepare(progress_.step + 2);
      train_step(batches);
      cut_if_due();
      follow_domains();
      const bool evaluated = evaluate_if_due();
      const bool save =
          progress_.step % config_.train.checkpoint_every == 0 && progress_.step < config_.train.steps;
      if (save) save_state();
      if (evaluated || save) reporter_.training();
      if (world_.is_alone() ? interrupted() : stop_) throw Interrupted{};
    }
  }

  void train_step(const std::vector<Batch>& batches) {
    const auto start = Clock::now();
    const int64_t step = progress_.step + 1;
    const StepResult result = trainer_->step(step, batches);
    world_.progress();
    watch_.add(step, result);
    const bool log = step % config_.train.log_every == 0 || step == config_.train.steps;
    double loss = 0;
    if (log) {
      const World::Waiting waiting(world_);
      loss = result.loss.item<double>();
      // All ranks look at the same steps, and so leave together.
      stop_ = result.stop.defined() && result.stop.item<float>() > 0;
    }
    progress_.step = step;
    progress_.tokens += result.tokens;
    progress_.seconds += seconds_since(start);
    if (log) log_step(result, loss);
  }

  void log_step(const StepResult& result, double loss) {
    const double speed = static_cast<double>(progress_.tokens - logged_.tokens) /
                         std::max(progress_.seconds - logged_.seconds, 1e-9);
    if (!settle_nonfinite()) {
      const TrainRow row{.step = progress_.step,
                         .tokens = progress_.tokens,
                         .loss = loss,
                         .learning_rate = result.learning_rate,
                         .gradient_norm = result.gradient_norm.item<double>(),
                         .tokens_per_second = speed,
                         .seconds = progress_.seconds};
      log_teacher(result);
      if (writer_) writer_->put_train(row);
      if (events_) events_->put(row.step, row.seconds, event_scalars(row));
    }
    logged_ = progress_;
    reporter_.step(progress_.step, loss, speed);
  }

  void log_teacher(const StepResult& result) {
    if (!teacher_.decoder) return;
    const DistillationRow row{.step = progress_.step,
                              .divergence = result.divergence.item<double>(),
                              .layer_distance = result.layer_distance.item<double>(),
                              .objective = result.objective.item<double>()};
    if (writer_) writer_->put_distillation(row);
    if (events_) events_->put(row.step, progress_.seconds, event_scalars(row));
  }

  bool evaluation_is_due() const {
    const int64_t step = progress_.step, every = config_.eval.every;
    const bool due =
        step == 0 ? config_.eval.before : step == config_.train.steps || (every > 0 && step % every == 0);
    const auto is_missing = [&] {
      const auto& rows = writer_->evaluations();
      return std::none_of(rows.begin(), rows.end(), [&](const auto& row) { return row.step == step; });
    };
    return due && world_.first_says([&] { return is_missing() ? "yes" : "no"; }) == "yes";
  }

  // Whether it was.
  bool evaluate_if_due() {
    if (!evaluation_is_due()) return false;
    settle_nonfinite();
    if (pruner_ && progress_.step > 0) pruner_->show_cut();
    const auto whole = trainer_->whole_parameters();
    const auto result = evaluator_.evaluate(
        *model_.decoder, progress_.step,
        [&](int64_t answered) {
          reporter_.evaluating(progress_.step, answered, evaluator_.problem_count());
          world_.progress();
          if (interrupted()) throw Interrupted{};
        },
        world_);
    if (writer_ && result.likelihoods) writer_->put_likelihoods(*result.likelihoods);
    if (writer_) writer_->put_evaluation(result.row, result.problems);
    if (events_) events_->put(progress_.step, progress_.seconds, event_scalars(result.row));
    reporter_.evaluated(progress_.step, result.row.heldout_loss, result.row.accuracy, result.row.problems);
    return true;
  }

  // A file that is there already is not made again. The state is saved before, so that a kill costs no
  // training.
  void evaluate_tasks() {
    if (config_.eval.tasks.empty() || run_.selects) return;
    if (progress_.step == config_.train.steps) save_state();
    const auto whole = trainer_->whole_parameters();
    const std::string scores = tasks_.evaluate(*model_.decoder, progress_.step, [&](const TaskProgress& now) {
      reporter_.asking(progress_.step, now.label, now.what, now.done, now.total);
      world_.progress();
      if (interrupted()) throw Interrupted{};
    });
    if (scores.empty()) return;
    reporter_.note(fmt::format("{}: step {}: {}", run_name(run_), progress_.step, scores));
    if (events_)
      events_->put(progress_.step, progress_.seconds,
                   event_scalars_of_tasks(tasks_file(files_.results, progress_.step)));
  }

  World& world_;
  const Plan& plan_;
  const PlannedRun& run_;
  const RunConfig& config_;
  RunFiles files_;
  Reporter& reporter_;
  DeterministicScope deterministic_;
  std::shared_ptr<const Base> base_;
  std::shared_ptr<const Data> data_;
  std::shared_ptr<const BatchStream> stream_;
  Evaluator evaluator_;
  RunTasks tasks_;
  ArmModel model_;
  Teacher teacher_;
  std::optional<RunWriter> writer_;
  std::optional<EventLog> events_;
  std::optional<Trainer> trainer_;
  std::optional<DomainLoader> domains_;
  std::optional<Pruner> pruner_;  // until the model is cut
  FiniteWatch watch_;
  bool stop_ = false;  // a rank was interrupted
  TrainProgress progress_, logged_;
};

}  // namespace

void run_one(const Plan& plan, const PlannedRun& run, Inputs& inputs, Teachers& teachers, torch::Device device,
             Reporter& reporter, World& world) {
  const auto place = static_cast<size_t>(&run - plan.runs.data());
  RunSession session(plan, run, inputs, teachers, device, reporter, world);
  for (const auto& note : inputs.take_notes()) reporter.note(note);
  session.execute(place);
}

}  // namespace attnlab

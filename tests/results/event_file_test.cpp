#include "results/event_file.h"

#include <cmath>

#include "core/files.h"
#include "event_reader.h"
#include "results/evaluation_file.h"
#include "results/run_events.h"
#include "sample_run.h"

namespace attnlab {
namespace {

TEST_CASE("CRC-32C of known texts") {
  CHECK(crc32c("") == 0);
  CHECK(crc32c("123456789") == 0xE3069283);
  CHECK(crc32c(std::string(32, '\0')) == 0x8A9136AA);    // RFC 3720, appendix B.4
  CHECK(crc32c(std::string(32, '\xFF')) == 0x62A8AB43);  // the same
  CHECK(masked_crc32c("123456789") == ((0xE3069283u >> 15 | 0xE3069283u << 17) + 0xA282EAD8u));
}

TEST_CASE("a record is its length, its bytes, and a checksum of each") {
  const std::string bytes = std::string("a\0b", 3);
  const std::string record = event_record(bytes) + event_record("") + event_record(std::string(300, 'x'));
  CHECK(test::read_records(record) == std::vector<std::string>{bytes, "", std::string(300, 'x')});
  CHECK(record.size() == 3 * 16 + 303);
}

TEST_CASE("events read back as they were written") {
  const test::Event event = test::read_event(
      scalars_event(1.7e9 + 0.25, 5'000'000'000, {{"train/loss", 1.5}, {"a", -0.0}, {"none", std::nan("")}}));
  CHECK(event.wall_time == 1.7e9 + 0.25);
  CHECK(event.step == 5'000'000'000);
  CHECK(event.scalars.at("train/loss") == 1.5F);
  CHECK(std::signbit(event.scalars.at("a")));
  CHECK(std::isnan(event.scalars.at("none")));
  const std::string text(1000, 'y');
  CHECK(test::read_event(text_event(3, "config", text)).texts.at("config") == text);
  const auto version = test::read_message(version_event(2));
  CHECK(test::only(version, 3) == "brain.Event:2");
}

RunRecord run_on_disk(const test::TemporaryFolder& folder) {
  RunHeader header = test::sample_header();
  header.provenance.emplace_back("started", std::string("2026-11-27T12:00:55Z"));
  const auto path = folder.path() / "seed7.h5";
  RunWriter writer = RunWriter::create(path, header);
  for (int64_t step = 1; step <= 3; ++step) writer.put_train(test::sample_train(step));
  writer.put_evaluation(test::sample_evaluation(0), test::sample_problems(0));
  writer.put_evaluation(test::sample_evaluation(3), test::sample_problems(3));
  write_evaluation(
      tasks_file(path, 3),
      {.scores = {{.task = "gsm8k", .protocol = "strict", .metric = "accuracy", .value = 0.75, .n = 4},
                  {.task = "text", .metric = "bits_per_byte", .value = 1.25, .n = 4}}});
  return read_run(path);  // its writer has not finished it
}

TEST_CASE("a run becomes an event a step, at the time of its start plus its training time") {
  const test::TemporaryFolder folder;
  const RunRecord run = run_on_disk(folder);
  CHECK(started_at(run) == 1795780855);
  const auto records = test::read_records(event_bytes(run));
  REQUIRE(records.size() == 3 + 4);  // version, two texts, steps 0 to 3
  CHECK_THAT(test::read_event(records[1]).texts.at("config"), ContainsSubstring("    train.lr: 0.001\n"));
  CHECK_THAT(test::read_event(records[2]).texts.at("provenance"), ContainsSubstring("    git: abc\n"));
  const test::Event before = test::read_event(records[3]), last = test::read_event(records[6]);
  CHECK(before.step == 0);
  CHECK(before.scalars.size() == 2);
  CHECK(before.wall_time == 1795780855);
  CHECK(last.step == 3);
  CHECK(last.wall_time == 1795780855 + 1.0);
  const TrainRow row = test::sample_train(3);
  const EvaluationRow evaluation = test::sample_evaluation(3);
  const std::map<std::string, float> expected{
      {"train/loss", static_cast<float>(row.loss)},
      {"train/lr", static_cast<float>(row.learning_rate)},
      {"train/gradient_norm", static_cast<float>(row.gradient_norm)},
      {"train/tokens", static_cast<float>(row.tokens)},
      {"train/tokens_per_second", static_cast<float>(row.tokens_per_second)},
      {"heldout/loss", static_cast<float>(evaluation.heldout_loss)},
      {"accuracy", static_cast<float>(evaluation.accuracy)},
      {"tasks/gsm8k/strict/accuracy", 0.75F},
      {"tasks/text/bits_per_byte", 1.25F}};
  CHECK(last.scalars == expected);
  CHECK(event_bytes(run) == event_bytes(read_run(run.path)));
}

TEST_CASE("an event file lies where experiment, arm, sweep point and seed say, and nowhere else") {
  RunRecord run;
  run.header = test::sample_header();
  CHECK(event_path(run) ==
        "quickstart/mla_orthogonal/train.lr=0.001/seed7/events.out.tfevents.0000000000.attnlab");
  run.header.arm = "../../etc";
  run.header.sweep_point = "..";
  run.header.experiment = "/root";
  CHECK(event_path(run) == "_root/_.._.._etc/_../seed7/events.out.tfevents.0000000000.attnlab");
}

TEST_CASE("a log goes on behind the step that its run goes on from, in the same file") {
  const test::TemporaryFolder folder;
  const RunRecord run = run_on_disk(folder);
  const auto path = folder.path() / "log" / event_path(run);
  EventLog log(folder.path() / "log", run, 2);
  const auto steps = [&] {
    const auto records = test::read_records(read_file(path));
    std::vector<int64_t> found;  // behind version and texts, which have none
    for (size_t i = 3; i < records.size(); ++i) found.push_back(test::read_event(records[i]).step);
    return found;
  };
  // The tasks of step 3 have a file that stays.
  CHECK(steps() == std::vector<int64_t>{0, 1, 2, 3});
  log.put(3, 1.5, event_scalars(test::sample_train(3)));
  log.put(3, 1.5, {});
  CHECK(steps() == std::vector<int64_t>{0, 1, 2, 3, 3});
  const auto last = test::read_event(test::read_records(read_file(path)).back());
  CHECK(last.wall_time == 1795780855 + 1.5);
  CHECK(last.scalars.at("train/loss") == static_cast<float>(test::sample_train(3).loss));
  const EventLog again(folder.path() / "log", run, 3);
  CHECK(read_file(path) == event_bytes(run));
}

TEST_CASE("a log that can't be written says where") {
  const test::TemporaryFolder folder;
  write_file_atomic(folder.path() / "log", "a file");
  CHECK_THROWS_WITH(EventLog(folder.path() / "log", run_on_disk(folder), 3), ContainsSubstring("can't write"));
}

}  // namespace
}  // namespace attnlab

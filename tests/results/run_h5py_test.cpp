// What Python's h5py sees: an independent HDF5 build (often a newer one).
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "catch.h"
#include "python.h"
#include "sample_run.h"

namespace attnlab {
namespace {
using namespace test;

// Runs a script with the path of the run file as its argument; true if it ends well.
bool passes(const std::string& interpreter, const std::filesystem::path& run, const std::string& script,
            const std::string& environment = "") {
  const std::string file = run.string() + ".py";
  std::ofstream(file) << "import sys, h5py\np = sys.argv[1]\n" << script;
  return std::system(fmt::format("{} {} {} {}", environment, interpreter, file, run.string()).c_str()) == 0;
}

constexpr const char* expect_refused = R"(
try:
    h5py.File(p)
except OSError as error:
    assert 'SWMR' in str(error) or 'already open' in str(error), error
else:
    raise SystemExit('opened')
)";

constexpr const char* check_content = R"(
r = h5py.File(p, **flags)
a = dict(r.attrs)
assert r.attrs['format'] == 'attnlab run 1', a
assert r.attrs['arm'] == 'mla_orthogonal' and r.attrs['seed'] == 7 and r.attrs['arm_index'] == 2, a
assert r.attrs['flops_per_token'] == 6.1e6
c = r['config'].attrs
assert c['train.lr'] == 1e-3 and c['eval.enabled'] == True and c['eval.off'] == False and c['name'] == 'Größe'
assert c['resolved_yaml'] == 'train:\n  lr: 0.001\n' and list(c['seeds']) == [0, 1, 2] and c['empty'] == ''
t = r['train']
assert t.dtype.names == ('step', 'tokens', 'loss', 'learning_rate', 'gradient_norm', 'tokens_per_second', 'seconds')
assert t.dtype['loss'].str == '<f8' and t.dtype['step'].str == '<i8'
assert list(t['step']) == [1, 2, 3] and list(t['tokens']) == [4096, 8192, 12288]
assert [float(x).hex() for x in t['loss']] == sys.argv[2:] if len(sys.argv) > 2 else True
q = r['problems']
assert q.dtype.names == ('step', 'index', 'prompt', 'gold', 'output', 'extracted', 'correct')
assert q['prompt'][2].decode() == 'Tom has 2 €.' and q['output'][1] == b'step 3\n#### 1' and len(q) == 3
assert q.compression == 'gzip' and q.shuffle
assert r['evaluations']['accuracy'][0] == 1 / 3
s = r['status'][0]
assert (s['state'], s['last_step'], s['message']) == status, s
)";

void put_sample(RunWriter& writer) {
  for (int64_t step = 1; step <= 3; ++step) writer.put_train(sample_train(step));
  writer.put_evaluation(sample_evaluation(3), sample_problems(3));
}

TEST_CASE("h5py reads a run while it goes on, after a crash, and when it is finished") {
  const std::string interpreter = python_with_h5py();
  if (interpreter.empty()) SKIP_TEST("no Python with h5py (set ATTNLAB_PYTHON)");
  const TemporaryFolder folder;
  const auto path = folder.path() / "seed7.h5";
  const std::string swmr = std::string("flags = dict(swmr=True); status = (0, 0, b'')\n") + check_content;

  RunWriter writer = RunWriter::create(path, sample_header());
  put_sample(writer);
  CHECK(passes(interpreter, path, swmr));
  CHECK(passes(interpreter, path, expect_refused));

  const auto crashed = folder.path() / "seed8.h5";
  std::filesystem::copy_file(path, crashed);  // what a kill at this instant leaves
  CHECK(passes(interpreter, crashed, swmr));
  CHECK(passes(interpreter, crashed, expect_refused));
  CHECK(passes(interpreter, crashed, swmr, "HDF5_USE_FILE_LOCKING=FALSE"));

  writer.set_status(RunState::complete, 3);
  CHECK(passes(interpreter, path, std::string("flags = {}; status = (1, 3, b'')\n") + check_content));
  CHECK(passes(interpreter, path,
               std::string("flags = dict(swmr=True); status = (1, 3, b'')\n") + check_content));
}

TEST_CASE("a reader that stays open does not block the writer and can follow it") {
  const std::string interpreter = python_with_h5py();
  if (interpreter.empty()) SKIP_TEST("no Python with h5py (set ATTNLAB_PYTHON)");
  const TemporaryFolder folder;
  const auto path = folder.path() / "seed7.h5";
  RunWriter writer = RunWriter::create(path, sample_header());
  writer.put_train(sample_train(1));
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0)
    ::_exit(passes(interpreter, path, R"(
import time, os
t = h5py.File(p, swmr=True)['train']
open(p + '.ready', 'w').close()
deadline = time.time() + 60
while len(t) < 50 and time.time() < deadline:
    time.sleep(0.01)
    t.refresh()
assert list(t['step'][:50]) == list(range(1, 51)), len(t)
)")
                ? 0
                : 1);
  while (!std::filesystem::exists(path.string() + ".ready") && ::waitpid(child, nullptr, WNOHANG) == 0)
    ::usleep(1000);
  for (int64_t step = 2; step <= 50; ++step) writer.put_train(sample_train(step));
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  writer.set_status(RunState::complete, 50);
  RunWriter again = RunWriter::resume(path);
  CHECK(again.train().size() == 50);
}

}  // namespace
}  // namespace attnlab

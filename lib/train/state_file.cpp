#include "train/state_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "checkpoint/safetensors_layout.h"
#include "checkpoint/temporary_file.h"
#include "core/errors.h"
#include "core/files.h"

namespace attnlab {
namespace fs = std::filesystem;
namespace {

constexpr const char* digest_key = "sha256";

// age 0: the newest.
fs::path state_of_age(const fs::path& path, int64_t age) {
  if (age == 0) return path;
  return path.parent_path() / fmt::format("{}.{}{}", path.stem().string(), age, path.extension().string());
}

fs::path unfinished(const fs::path& path) {
  return path.parent_path() / (path.stem().string() + ".new" + path.extension().string());
}

// Those that are there, the newest first. A kill while states move on may leave out one.
std::vector<fs::path> existing(const fs::path& path) {
  std::vector<fs::path> found;
  for (int64_t age = 0, missing = 0; missing < 2; ++age)
    if (fs::exists(state_of_age(path, age))) {
      found.push_back(state_of_age(path, age));
      missing = 0;
    } else {
      ++missing;
    }
  return found;
}

// What a digest is made of, of a tensor whose values are on the CPU, row-major.
std::string digest_line(const std::string& name, const torch::Tensor& values) {
  const std::string_view bytes(static_cast<const char*>(values.const_data_ptr()), values.nbytes());
  return fmt::format("{} {} [{}] {}\n", name, c10::toString(values.scalar_type()),
                     fmt::join(values.sizes().vec(), ","), sha256(bytes));
}

// Of names, types, shapes, values and texts, wherever they lie in the file. `tensors`: their lines, by name.
std::string digest_of(const std::map<std::string, std::string>& tensors,
                      const std::map<std::string, std::string>& metadata) {
  std::string lines;
  for (const auto& [key, text] : metadata)
    if (key != digest_key) lines += fmt::format("{} {} {}\n", key, text.size(), text);
  for (const auto& [name, line] : tensors) lines += line;
  return sha256(lines);
}

void move_file(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0)
    throw RunError(fmt::format("{}: cannot rename: {}", to.string(), std::strerror(errno)));
}

[[noreturn]] void refuse(const fs::path& path, const std::string& why) {
  throw InputError(BadInput{.file = path.string(),
                            .found = "a damaged state (" + why + ")",
                            .expected = "one as it was written; delete it to start this run over"});
}

struct WholeState {
  std::optional<SafetensorsFile> file;
  std::vector<InputError> damaged;  // what is wrong with newer ones
};

WholeState first_whole(const std::vector<fs::path>& states) {
  WholeState found;
  for (const auto& state : states) {
    try {
      found.file = open_state(state);
      break;
    } catch (const InputError& error) {
      found.damaged.push_back(error);
    }
  }
  return found;
}

}  // namespace

namespace {

// A file whose digest is known, and put in its place, once all values are written.
class StateWriter {
 public:
  StateWriter(const fs::path& path, std::vector<TensorSlot> slots, std::map<std::string, std::string> metadata)
      : path_(path), slots_(std::move(slots)), metadata_(std::move(metadata)), file_(temporary()) {
    metadata_[digest_key] = std::string(sha256("").size(), '0');
    file_.write(header_bytes(slots_, metadata_));
  }

  void add(const std::string& name, const torch::Tensor& tensor) {
    const auto values = plain_values(tensor.detach());
    lines_[name] = digest_line(name, values);
    if (values.numel() > 0) file_.write(static_cast<const char*>(values.const_data_ptr()), values.nbytes());
  }

  void publish() {
    metadata_[digest_key] = digest_of(lines_, metadata_);
    const std::string header = header_bytes(slots_, metadata_);
    const int descriptor = ::open(temporary().c_str(), O_WRONLY | O_CLOEXEC);
    const bool written = descriptor >= 0 && ::pwrite(descriptor, header.data(), header.size(), 0) ==
                                                static_cast<ssize_t>(header.size());
    const int cause = errno;
    if (descriptor >= 0) ::close(descriptor);
    if (!written) throw RunError(fmt::format("{}: cannot write: {}", path_.string(), std::strerror(cause)));
    file_.publish(path_);
  }

 private:
  std::string temporary() const { return path_.string() + ".tmp"; }
  fs::path path_;
  std::vector<TensorSlot> slots_;
  std::map<std::string, std::string> metadata_, lines_;
  TemporaryFile file_;
};

// The fresh state becomes the newest.
void move_states_on(const fs::path& path, int64_t keep) {
  for (int64_t age = keep - 1; age >= 1; --age)
    if (fs::exists(state_of_age(path, age - 1)))
      move_file(state_of_age(path, age - 1), state_of_age(path, age));
  move_file(unfinished(path), path);
  sync_folder(path.parent_path().empty() ? fs::path(".") : path.parent_path());
}

}  // namespace

void stream_state(const fs::path& path, const std::map<std::string, LateTensor>& tensors,
                  std::map<std::string, std::string> metadata, int64_t keep, World& world) {
  std::vector<TensorSlot> slots;
  for (const auto& [name, tensor] : tensors) slots.push_back(slot_of(name, tensor.like));
  sort_slots(slots);
  std::exception_ptr failure;
  const auto attempt = [&](const std::function<void()>& action) {
    if (!world.is_first() || failure) return;
    try {
      action();
    } catch (...) {
      failure = std::current_exception();
    }
  };
  std::optional<StateWriter> writer;
  attempt([&] { writer.emplace(unfinished(path), slots, std::move(metadata)); });
  // Whatever fails, values are asked for to the end: other ranks take part in making them.
  for (const auto& slot : slots) {
    const auto values = tensors.at(slot.name).values();
    attempt([&] { writer->add(slot.name, values); });
  }
  attempt([&] {
    writer->publish();
    move_states_on(path, keep);
  });
  world.first_does([&] {
    if (failure) std::rethrow_exception(failure);
  });
}

void write_state(const fs::path& path, const TensorList& tensors, std::map<std::string, std::string> metadata,
                 int64_t keep) {
  std::map<std::string, LateTensor> late;
  for (const auto& [name, tensor] : tensors) late[name] = {tensor, [held = tensor] { return held; }};
  stream_state(path, late, std::move(metadata), keep);
}

SafetensorsFile open_state(const fs::path& path) {
  try {
    const auto file = SafetensorsFile::open(path);
    const auto written = file.metadata().find(digest_key);
    if (written == file.metadata().end()) refuse(path, "without a SHA-256");
    std::map<std::string, std::string> lines;
    for (const auto& name : file.names()) lines[name] = digest_line(name, file.tensor(name));
    if (digest_of(lines, file.metadata()) != written->second) refuse(path, "its SHA-256 is another one");
    return file;
  } catch (const InputError& error) {
    if (error.problem().found.starts_with("a damaged state")) throw;
    BadInput inner = error.problem();
    inner.file.clear();
    refuse(path, describe(inner));
  }
}

std::optional<FoundState> find_state(const fs::path& path) {
  const auto states = existing(path);
  if (states.empty()) return std::nullopt;
  auto [whole, damaged] = first_whole(states);
  if (whole) {
    FoundState found{.file = std::move(*whole), .damaged = {}};
    for (size_t i = 0; i < damaged.size(); ++i) {
      found.damaged.emplace_back(damaged[i].what());
      remove_file(states[i]);
    }
    return found;
  }
  if (states.size() == 1) throw damaged.front();
  std::vector<std::string> names;
  for (const auto& state : states) names.push_back(state.filename().string());
  throw InputError(BadInput{.file = states[0].parent_path().string(),
                            .found = fmt::format("{} damaged states", states.size()),
                            .expected = fmt::format("one as it was written; delete {} to start this run over",
                                                    fmt::join(names, " and "))});
}

std::optional<SafetensorsFile> newest_state(const fs::path& path) { return first_whole(existing(path)).file; }

void remove_states(const fs::path& path) {
  for (const auto& state : existing(path)) remove_file(state);
  remove_file(unfinished(path));
}

}  // namespace attnlab

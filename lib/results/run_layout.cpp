#include "results/run_layout.h"

#include <algorithm>

#include "core/find_field.h"
#include "results/attributes.h"
#include "results/table.h"

namespace attnlab {
namespace {

constexpr const char* yaml_name = "resolved_yaml";

struct HeaderWriter {
  hid_t file;
  template <class T>
  void operator()(const Key& key, const T& value) const {
    if constexpr (OptionalField<T>) {
      if (value) (*this)(key, *value);
    } else {
      write_attribute(file, std::string(key.name), value);
    }
  }
};

struct HeaderReader {
  hid_t file;
  template <class T>
  void operator()(const Key& key, std::optional<T>& value) const {
    if (!has_attribute(file, std::string(key.name))) return;
    (*this)(key, value.emplace());
  }
  template <class T>
  void operator()(const Key& key, T& value) const {
    const FieldValue stored = read_attribute(file, std::string(key.name));
    if (!std::holds_alternative<T>(stored))
      throw hdf5::Error("attribute " + std::string(key.name) + " has another type");
    value = std::get<T>(stored);
  }
};

void write_group(hid_t file, const std::string& name, const FlatFields& fields) {
  const hdf5::Handle group = hdf5::create_group(file, name);
  for (const auto& [key, value] : fields) write_attribute(group, key, value);
}

FlatFields read_group(hid_t file, const std::string& name) {
  return read_attributes(hdf5::open_group(file, name));
}

// Takes the YAML out of the fields of /config.
std::string take_yaml(FlatFields& config) {
  const auto found =
      std::find_if(config.begin(), config.end(), [](const auto& field) { return field.first == yaml_name; });
  if (found == config.end() || !std::holds_alternative<std::string>(found->second))
    throw hdf5::Error("/config lacks resolved_yaml");
  std::string yaml = std::get<std::string>(found->second);
  config.erase(found);
  return yaml;
}

bool has_teacher(const RunHeader& header) {
  return std::any_of(header.config.begin(), header.config.end(),
                     [](const auto& field) { return field.first == "train.distill.teacher"; });
}

bool has_likelihoods(const RunHeader& header) {
  const bool* wanted = find_field<bool>(header.config, "eval.likelihoods");
  return wanted && *wanted;
}

template <class Row>
hdf5::Table open_if_there(hid_t file, const std::string& name) {
  return hdf5::Table::exists(file, name) ? hdf5::Table::open(file, name, columns_of<Row>()) : hdf5::Table{};
}

}  // namespace

std::string_view cut_utf8(std::string_view text, size_t bytes) {
  if (text.size() <= bytes) return text;
  size_t end = bytes;
  // Continuation bytes are 10xxxxxx; a character has at most three of them.
  while (end > 0 && bytes - end < 3 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

std::vector<int64_t> problem_widths(const RunHeader& header) {
  const auto width = [](int64_t bytes) { return std::clamp<int64_t>(bytes, 1, most_text_bytes); };
  return {width(header.prompt_bytes), width(header.gold_bytes), width(header.output_bytes),
          std::max<int64_t>(64, width(header.gold_bytes))};
}

RunTables write_layout(hid_t file, const RunHeader& header, const StatusRow& status) {
  write_attribute(file, "format", std::string(run_format));
  RunHeader::fields(header, HeaderWriter{file});
  FlatFields config = header.config;
  config.emplace_back(yaml_name, header.resolved_yaml);
  write_group(file, "config", config);
  write_group(file, "provenance", header.provenance);
  write_group(file, "conversion", header.conversion);
  hdf5::Table status_table =
      hdf5::Table::create_single_row(file, "status", columns_of<StatusRow>({message_bytes}));
  status_table.write(0, pack(status_table, &status, 1));
  return {.train = hdf5::Table::create(file, "train", columns_of<TrainRow>(), 64, false),
          .evaluations = hdf5::Table::create(file, "evaluations", columns_of<EvaluationRow>(), 64, false),
          .problems =
              hdf5::Table::create(file, "problems", columns_of<ProblemRow>(problem_widths(header)), 32, true),
          .nonfinite = hdf5::Table::create(file, "nonfinite", columns_of<NonfiniteRow>(), 64, false),
          .distillation = has_teacher(header) ? hdf5::Table::create(file, "distillation",
                                                                    columns_of<DistillationRow>(), 64, false)
                                              : hdf5::Table{},
          .likelihoods = has_likelihoods(header)
                             ? hdf5::Table::create(file, "likelihoods", columns_of<LikelihoodRow>(), 64, false)
                             : hdf5::Table{}};
}

RunTables open_tables(hid_t file) {
  return {.train = hdf5::Table::open(file, "train", columns_of<TrainRow>()),
          .evaluations = hdf5::Table::open(file, "evaluations", columns_of<EvaluationRow>()),
          .problems = hdf5::Table::open(file, "problems", columns_of<ProblemRow>()),
          .nonfinite = open_if_there<NonfiniteRow>(file, "nonfinite"),
          .distillation = open_if_there<DistillationRow>(file, "distillation"),
          .likelihoods = open_if_there<LikelihoodRow>(file, "likelihoods")};
}

hdf5::Table open_answers(hid_t file) { return hdf5::Table::open(file, "problems", columns_of<AnswerRow>()); }

hdf5::Table open_status(hid_t file) { return hdf5::Table::open(file, "status", columns_of<StatusRow>()); }

std::string read_format(hid_t file) {
  if (!has_attribute(file, "format")) return "";
  const FieldValue format = read_attribute(file, "format");
  const auto* text = std::get_if<std::string>(&format);
  return text ? *text : to_text(format);
}

RunHeader read_header(hid_t file) {
  RunHeader header;
  RunHeader::fields(header, HeaderReader{file});
  header.config = read_group(file, "config");
  header.resolved_yaml = take_yaml(header.config);
  header.provenance = read_group(file, "provenance");
  header.conversion = read_group(file, "conversion");
  return header;
}

}  // namespace attnlab

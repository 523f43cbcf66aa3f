#include "eval/told_findings.h"

#include <bit>
#include <sstream>

namespace attnlab {
namespace {

uint64_t bits_of(double value) { return std::bit_cast<uint64_t>(value); }

template <class T>
T next(std::istream& in) {
  T value{};
  in >> value;
  return value;
}

double next_double(std::istream& in) { return std::bit_cast<double>(next<uint64_t>(in)); }

}  // namespace

std::string tell_findings(const TaskFindings& findings) {
  std::ostringstream out;
  out << findings.replies.size() << ' ' << findings.choices.size() << ' ' << findings.texts.size() << '\n';
  for (const auto& [place, reply] : findings.replies)
    out << place.first << ' ' << place.second << ' ' << reply.size() << ' ' << reply << '\n';
  for (const auto& [item, likelihoods] : findings.choices) {
    out << item << ' ' << likelihoods.log_likelihoods.size();
    for (size_t i = 0; i < likelihoods.log_likelihoods.size(); ++i)
      out << ' ' << bits_of(likelihoods.log_likelihoods[i]) << ' ' << likelihoods.greedy[i];
    out << '\n';
  }
  for (const auto& [document, score] : findings.texts)
    out << document << ' ' << bits_of(score.rolling.loglikelihood) << ' ' << score.rolling.words << ' '
        << score.rolling.bytes << ' ' << bits_of(score.plain) << ' ' << score.plain_tokens << '\n';
  return out.str();
}

TaskFindings told_findings(const std::string& told) {
  std::istringstream in(told);
  const auto replies = next<size_t>(in), choices = next<size_t>(in), texts = next<size_t>(in);
  TaskFindings findings;
  for (size_t i = 0; i < replies; ++i) {
    const auto problem = next<int64_t>(in), sample = next<int64_t>(in);
    std::string reply(next<size_t>(in), '\0');
    in.ignore(1);
    in.read(reply.data(), std::ssize(reply));
    findings.replies[{problem, sample}] = std::move(reply);
  }
  for (size_t i = 0; i < choices; ++i) {
    auto& likelihoods = findings.choices[next<int64_t>(in)];
    for (auto count = next<size_t>(in); count > 0; --count) {
      likelihoods.log_likelihoods.push_back(next_double(in));
      likelihoods.greedy.push_back(next<int>(in) != 0);
    }
  }
  for (size_t i = 0; i < texts; ++i) {
    auto& score = findings.texts[next<int64_t>(in)];
    score.rolling.loglikelihood = next_double(in);
    score.rolling.words = next<decltype(score.rolling.words)>(in);
    score.rolling.bytes = next<decltype(score.rolling.bytes)>(in);
    score.plain = next_double(in);
    score.plain_tokens = next<int64_t>(in);
  }
  return findings;
}

}  // namespace attnlab

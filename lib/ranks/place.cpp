#include "ranks/place.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>

#include "core/errors.h"
#include "core/numbers.h"

namespace attnlab {
namespace {

const char* variable(const char* name) {
  const char* text = std::getenv(name);
  return text && *text ? text : nullptr;
}

int64_t number(const char* name, int64_t least, int64_t most, std::optional<int64_t> otherwise = {}) {
  const char* text = variable(name);
  if (!text && otherwise) return *otherwise;
  const auto value = parse_number<int64_t>(text ? text : "");
  if (!value || *value < least || *value > most)
    throw InputError(BadInput{.file = std::string("environment variable ") + name,
                              .found = text ? fmt::format("'{}'", text) : "nothing",
                              .expected = fmt::format("a number from {} to {}", least, most)});
  return *value;
}

constexpr int64_t most_ranks = 1 << 20;

RankPlace read_place(const char* size, const char* rank, const char* local_rank) {
  RankPlace place;
  place.size = number(size, 1, most_ranks);
  place.rank = number(rank, 0, place.size - 1);
  place.local_rank = number(local_rank, 0, place.size - 1, place.rank);
  return place;
}

// "node[03-07,9],x" → "node03".
std::string first_node(const std::string& list) {
  const std::string first = list.substr(0, list.find_first_of(",["));
  if (first.size() >= list.size() || list[first.size()] != '[') return first;
  const size_t begin = first.size() + 1;
  return first + list.substr(begin, list.find_first_of("-,]", begin) - begin);
}

// Of a job or a command line: the same for all its ranks, another one for its neighbours'.
uint16_t port_for(const std::string& name) {
  return static_cast<uint16_t>(20000 + std::hash<std::string>{}(name) % 20000);
}

void meet(RankPlace& place, const std::string& address, const std::string& job) {
  place.hosts_store = place.rank == 0;
  place.address = variable("MASTER_ADDR") ? variable("MASTER_ADDR") : address;
  place.port = static_cast<uint16_t>(number("MASTER_PORT", 1, 65535, port_for(job)));
}

std::string text_of(const char* name) { return variable(name) ? variable(name) : ""; }

RankPlace from_torchrun() {
  RankPlace place = read_place("WORLD_SIZE", "RANK", "LOCAL_RANK");
  place.local_size = number("LOCAL_WORLD_SIZE", 1, place.size, 1);
  place.address = variable("MASTER_ADDR") ? variable("MASTER_ADDR") : "127.0.0.1";
  place.port = static_cast<uint16_t>(number("MASTER_PORT", 1, 65535));
  place.hosts_store = place.rank == 0 && text_of("TORCHELASTIC_USE_AGENT_STORE") != "True";
  return place;
}

RankPlace from_open_mpi() {
  RankPlace place = read_place("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK");
  const int64_t here = number("OMPI_COMM_WORLD_LOCAL_SIZE", 1, place.size, place.size);
  if (place.size > here && !variable("MASTER_ADDR"))
    throw InputError(BadInput{.file = "environment variable MASTER_ADDR",
                              .found = "nothing, with ranks of mpirun on several machines",
                              .expected = "the machine of rank 0: mpirun -x MASTER_ADDR=HOST …"});
  meet(place, "127.0.0.1", text_of("PMIX_NAMESPACE") + text_of("OMPI_MCA_ess_base_jobid"));
  return place;
}

RankPlace from_slurm() {
  RankPlace place = read_place("SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_LOCALID");
  const bool one_machine = number("SLURM_STEP_NUM_NODES", 1, most_ranks, 1) == 1;
  meet(place, one_machine ? "127.0.0.1" : first_node(text_of("SLURM_STEP_NODELIST")),
       text_of("SLURM_JOB_ID") + "." + text_of("SLURM_STEP_ID"));
  return place;
}

}  // namespace

std::optional<RankPlace> place_from_environment() {
  std::optional<RankPlace> place;
  // Inside a Slurm job the processes of mpirun see Slurm's variables of another step, and torchrun's agents are
  // started by either.
  if (variable("WORLD_SIZE") && variable("RANK"))
    place = from_torchrun();
  else if (variable("OMPI_COMM_WORLD_SIZE"))
    place = from_open_mpi();
  else if (variable("SLURM_STEP_NUM_TASKS"))
    place = from_slurm();
  if (place && place->size == 1) place.reset();
  return place;
}

std::string host_name() {
  char name[256] = "";
  return gethostname(name, sizeof name - 1) == 0 ? name : "?";
}

}  // namespace attnlab

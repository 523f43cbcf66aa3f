#include "ranks/place.h"

#include <cstdlib>
#include <map>

#include "catch.h"
#include "core/errors.h"

namespace attnlab {
namespace {

// Variables of the environment for a scope; all others that launchers set are taken away.
class Environment {
 public:
  explicit Environment(const std::map<std::string, std::string>& values) {
    for (const char* name :
         {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
          "TORCHELASTIC_USE_AGENT_STORE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
          "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID",
          "SLURM_LOCALID", "SLURM_STEP_NUM_NODES", "SLURM_STEP_NODELIST", "SLURM_JOB_ID", "SLURM_STEP_ID"}) {
      if (const char* value = std::getenv(name)) before_[name] = value;
      unsetenv(name);
      names_.emplace_back(name);
    }
    for (const auto& [name, value] : values) setenv(name.c_str(), value.c_str(), 1);
  }
  ~Environment() {
    for (const auto& name : names_) unsetenv(name.c_str());
    for (const auto& [name, value] : before_) setenv(name.c_str(), value.c_str(), 1);
  }

 private:
  std::vector<std::string> names_;
  std::map<std::string, std::string> before_;
};

TEST_CASE("a process that no launcher started, or the only one that it started, is alone") {
  {
    const Environment none({});
    CHECK_FALSE(place_from_environment());
  }
  const Environment one({{"SLURM_STEP_NUM_TASKS", "1"}, {"SLURM_PROCID", "0"}});
  CHECK_FALSE(place_from_environment());
}

TEST_CASE("torchrun says rank, size and where the store is, which its agent may host") {
  std::map<std::string, std::string> values{
      {"RANK", "0"}, {"WORLD_SIZE", "4"}, {"LOCAL_RANK", "0"}, {"MASTER_ADDR", "a"}, {"MASTER_PORT", "29500"}};
  {
    const Environment environment(values);
    const auto place = place_from_environment();
    REQUIRE(place);
    CHECK(place->size == 4);
    CHECK(place->address == "a");
    CHECK(place->port == 29500);
    CHECK(place->hosts_store);
  }
  values["TORCHELASTIC_USE_AGENT_STORE"] = "True";
  const Environment environment(values);
  CHECK_FALSE(place_from_environment()->hosts_store);
}

TEST_CASE("ranks of srun meet at the first node of their step, those of one job at one port") {
  std::map<std::string, std::string> values{
      {"SLURM_STEP_NUM_TASKS", "8"},        {"SLURM_PROCID", "5"},  {"SLURM_LOCALID", "1"},
      {"SLURM_STEP_NUM_NODES", "2"},        {"SLURM_JOB_ID", "77"}, {"SLURM_STEP_ID", "0"},
      {"SLURM_STEP_NODELIST", "gpu[03-04]"}};
  const Environment environment(values);
  const auto place = place_from_environment();
  REQUIRE(place);
  CHECK(place->rank == 5);
  CHECK(place->local_rank == 1);
  CHECK(place->address == "gpu03");
  CHECK_FALSE(place->hosts_store);
  setenv("SLURM_PROCID", "0", 1);
  CHECK(place_from_environment()->hosts_store);
  CHECK(place_from_environment()->port == place->port);
}

TEST_CASE("mpirun on several machines needs an address") {
  std::map<std::string, std::string> values{{"OMPI_COMM_WORLD_SIZE", "4"},
                                            {"OMPI_COMM_WORLD_RANK", "3"},
                                            {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                                            {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}};
  const Environment environment(values);
  CHECK_THROWS_WITH(place_from_environment(), ContainsSubstring("MASTER_ADDR"));
  setenv("MASTER_ADDR", "node1", 1);
  CHECK(place_from_environment()->address == "node1");
}

TEST_CASE("a rank beyond the world is refused") {
  const Environment environment({{"RANK", "4"}, {"WORLD_SIZE", "4"}, {"MASTER_PORT", "1234"}});
  CHECK_THROWS_WITH(place_from_environment(),
                    "environment variable RANK: found '4', expected a number from 0 to 3");
}

}  // namespace
}  // namespace attnlab

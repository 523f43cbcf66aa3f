// Which of several processes of one run this one is, as its launcher says it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace attnlab {

struct RankPlace {
  int64_t rank = 0, size = 1;
  int64_t local_rank = 0;             // among the ranks of this machine
  int64_t local_size = 1;             // how many of them share the cores that this process may use
  std::string address = "127.0.0.1";  // where the store that ranks meet in listens
  uint16_t port = 0;
  bool hosts_store = false;  // this rank opens it; otherwise somebody has, or will
};

// From torchrun (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT), srun (SLURM_PROCID, …) or Open MPI
// (OMPI_COMM_WORLD_RANK, …); launch_ranks speaks as torchrun does. Nothing: started by none of them, or alone.
// Ranks of srun and mpirun on several machines meet at MASTER_ADDR (srun: the first node of the step, if it is
// not given) and MASTER_PORT. Throws InputError for values that can't be.
std::optional<RankPlace> place_from_environment();

// This machine's name.
std::string host_name();

}  // namespace attnlab

#pragma once

#include <cstdint>
#include <string>

namespace tidegate::worker {

/// Who this worker is: fixed at start, the same in WorkerHello and in every WorkerReport.
struct WorkerFacts {
  std::string worker_id;   ///< UUIDv7, new for every start
  std::string deployment;  ///< empty when started by hand
  std::string replica;
  std::string address;     ///< where gateways reach this worker's gRPC server
  std::string model;
  std::string variant;
  std::string engine;      ///< "cpu" | "sim" | "external"
  std::string region;
  std::string pool;
};

}  // namespace tidegate::worker

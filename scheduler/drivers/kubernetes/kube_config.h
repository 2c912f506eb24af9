#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "base/core/config.h"
#include "scheduler/drivers/kubernetes/kubernetes_driver.h"

namespace tidegate::scheduler {

/// The rows kubernetes.*; docs/kubernetes.md explains them.
struct KubeConfig {
  kube::KubeSettings objects;
  kube::AccessOptions access;
  std::string pools_file;
  std::chrono::milliseconds call_limit{10'000};
  std::chrono::milliseconds watch_limit{60'000};
  std::int64_t writes_per_second = 20;
};

void add_kube_rows(ConfigTable& table, KubeConfig& config);
/// With driver = kubernetes only. `models_dir` must be a path that pods can have too; `tls_inside`: workers need
/// certificates then. Fails: invalid_argument/bad_config.
Status check_kube_config(const KubeConfig& config, const std::string& models_dir, bool tls_inside);

/// Opens the driver; reads the pools' file and the files of the access. Fails as they do.
Result<std::unique_ptr<RuntimeDriver>> open_kubernetes_driver(const KubeConfig& config, const std::string& models_dir,
                                                              std::string holder, const Clock& clock, Log& log,
                                                              kube::KubeMetrics& metrics, std::uint64_t seed);

}  // namespace tidegate::scheduler

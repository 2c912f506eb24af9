#pragma once

#include <cstdlib>

#include "scheduler/core/catalogue.h"

namespace tidegate::scheduler {

/// tang-moe/fp8 held here, sim-fast/sim, and deepseek-r1/fp8 whose weights are elsewhere.
inline Catalogue test_catalogue() {
  Catalogue catalogue;
  const auto add = [&](std::string name, std::string variant, std::string path, std::string engine) {
    CatalogueModel model{.name = std::move(name), .architecture = "DeepseekV3ForCausalLM", .context_max = 1024};
    model.variants.push_back({.name = std::move(variant), .path = std::move(path), .engine = std::move(engine)});
    if (!catalogue.add(std::move(model))) std::abort();
  };
  add("tang-moe", "fp8", "tang-moe", "tidegate");
  add("sim-fast", "sim", "", "sim");
  add("deepseek-r1", "fp8", "", "tidegate");
  return catalogue;
}

inline Deployment tang_deployment(std::int32_t replicas = 1) {
  return {.name = "tang", .model = "tang-moe", .variant = "fp8", .replicas = replicas};
}

}  // namespace tidegate::scheduler

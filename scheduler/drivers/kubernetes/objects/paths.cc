#include "scheduler/drivers/kubernetes/objects/paths.h"

#include <fmt/format.h>

namespace tidegate::scheduler::kube {

namespace {

std::string_view api_of(Collection collection) {
  switch (collection) {
    case Collection::kDeployments:
      return "/apis/apps/v1";
    case Collection::kGroups:
      return "/apis/leaderworkerset.x-k8s.io/v1";
    case Collection::kPods:
    case Collection::kServices:
      return "/api/v1";
    case Collection::kBudgets:
      return "/apis/policy/v1";
    case Collection::kPolicies:
      return "/apis/networking.k8s.io/v1";
    case Collection::kLeases:
      return "/apis/coordination.k8s.io/v1";
  }
  return "";
}

}  // namespace

std::string_view collection_name(Collection collection) {
  switch (collection) {
    case Collection::kDeployments:
      return "deployments";
    case Collection::kGroups:
      return "leaderworkersets";
    case Collection::kPods:
      return "pods";
    case Collection::kServices:
      return "services";
    case Collection::kBudgets:
      return "poddisruptionbudgets";
    case Collection::kPolicies:
      return "networkpolicies";
    case Collection::kLeases:
      return "leases";
  }
  return "";
}

std::string collection_path(Collection collection, std::string_view name_space) {
  return fmt::format("{}/namespaces/{}/{}", api_of(collection), name_space, collection_name(collection));
}

std::string object_path(Collection collection, std::string_view name_space, std::string_view name) {
  return fmt::format("{}/{}", collection_path(collection, name_space), name);
}

Collection collection_of(WorkloadKind kind) {
  return kind == WorkloadKind::kGroup ? Collection::kGroups : Collection::kDeployments;
}

std::string query_text(std::string_view value) {
  std::string out;
  for (const char c : value) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '.' || c == '_' || c == '~';
    if (plain)
      out += c;
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

}  // namespace tidegate::scheduler::kube

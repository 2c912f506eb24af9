#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "scheduler/drivers/kubernetes/objects/seen_objects.h"

namespace tidegate::scheduler::kube {

enum class Collection : std::uint8_t { kDeployments, kGroups, kPods, kServices, kBudgets, kPolicies, kLeases };

/// "/apis/apps/v1/namespaces/NS/deployments"
std::string collection_path(Collection collection, std::string_view name_space);
std::string object_path(Collection collection, std::string_view name_space, std::string_view name);
Collection collection_of(WorkloadKind kind);
/// "deployments"; for messages and metrics.
std::string_view collection_name(Collection collection);

/// Percent-encodes what is not unreserved (RFC 3986): for values in a query.
std::string query_text(std::string_view value);

}  // namespace tidegate::scheduler::kube

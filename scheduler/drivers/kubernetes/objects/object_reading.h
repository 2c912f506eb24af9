#pragma once

#include <string>
#include <string_view>

#include "base/json/json.h"
#include "scheduler/drivers/kubernetes/objects/seen_objects.h"

/// From objects as a cluster sends them to what we keep. What others may have broken reads as empty, never as an error:
/// one odd object must not hide the rest.
namespace tidegate::scheduler::kube {

SeenWorkload read_workload(const json::object& object, WorkloadKind kind);
SeenPod read_pod(const json::object& object);
SeenLease read_lease(const json::object& object);

/// metadata.<key>, "" when absent.
std::string metadata_text(const json::object& object, std::string_view key);

/// An answer that is no success: `status` and the words of its body (kind Status), shortened.
std::string failure_words(int status, const json::value& body);
/// Whether that answer is about fields which another field manager owns.
bool is_field_conflict(const json::value& body);

}  // namespace tidegate::scheduler::kube

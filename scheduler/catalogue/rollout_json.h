#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/core/result.h"
#include "scheduler/core/fleet_types.h"

/// Rollouts and revisions as JSON, in PostgreSQL. Members as the structs'; "{}": there is none. Nobody types it in, so it
/// is read strictly: what is missing or of another type is an error, not a default.
namespace tidegate::scheduler {

std::string write_rollout(const Rollout& rollout);
/// Fails: invalid_argument/{invalid_json, missing_field, wrong_type, bad_rollout}.
Result<Rollout> parse_rollout(std::string_view text);

std::string write_revision(const std::optional<RevisionSpec>& revision);
/// Fails: as parse_rollout().
Result<std::optional<RevisionSpec>> parse_revision(std::string_view text);

}  // namespace tidegate::scheduler

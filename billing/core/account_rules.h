#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/core/clock.h"
#include "base/core/result.h"

/// What people may call things, and what a currency looks like. Fails: invalid_argument/bad_name and the like, naming
/// the field and the rule.
namespace tidegate::billing {

/// [a-z0-9][a-z0-9-]{0,62}
Status check_name(const std::string& name, const std::string& field);
Status check_tenant(const std::string& name, const std::string& billing_tz, const std::string& currency);
/// At most 32 names, each once, sorted; empty stays empty. Fails: invalid_argument/bad_name or bad_regions.
Result<std::vector<std::string>> read_regions(std::vector<std::string> names);
/// A key's name is free text up to 128 bytes; at most 64 models; an expiry lies in the future.
Status check_key(const std::string& name, const std::vector<std::string>& models, Wall now, const std::optional<Wall>& expires);
Status check_note(const std::string& note);
/// A weight in the queues of 1 to 1000, and the name of a service tier. Fails: invalid_argument/bad_share.
Status check_share(std::int64_t queue_weight, const std::string& tier_max);

}  // namespace tidegate::billing

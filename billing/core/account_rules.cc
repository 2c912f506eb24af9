#include "billing/core/account_rules.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/core/encoding.h"
#include "base/price/local_windows.h"

namespace tidegate::billing {

namespace {

constexpr std::size_t kNameMax = 63;
constexpr std::size_t kTextMax = 128;
constexpr std::size_t kNoteMax = 500;
constexpr std::size_t kModelsMax = 64;
constexpr std::size_t kRegionsMax = 32;
constexpr std::int64_t kQueueWeightMax = 1'000;

bool is_small(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool is_text(const std::string& text, std::size_t most) {
  return text.size() <= most && is_valid_utf8(text) &&
         std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; });
}

}  // namespace

Status check_name(const std::string& name, const std::string& field) {
  const bool is_fine = !name.empty() && name.size() <= kNameMax && is_small(name.front()) &&
                       std::all_of(name.begin(), name.end(), [](char c) { return is_small(c) || c == '-'; });
  if (is_fine) return {};
  return fail(Code::kInvalidArgument, "bad_name",
              fmt::format("{} must be 1 to {} of a-z, 0-9 and -, not starting with -", field, kNameMax), field);
}

Status check_tenant(const std::string& name, const std::string& billing_tz, const std::string& currency) {
  TG_TRY(check_name(name, "name"));
  if (const auto zone = price::load_zone(billing_tz); !zone) {
    return fail(Code::kInvalidArgument, "bad_time_zone", zone.error().message, "billing_tz");
  }
  const bool is_currency =
      currency.size() == 3 && std::all_of(currency.begin(), currency.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
  if (is_currency) return {};
  return fail(Code::kInvalidArgument, "bad_currency", "currency must be three capital letters, such as USD", "currency");
}

Result<std::vector<std::string>> read_regions(std::vector<std::string> names) {
  for (const std::string& name : names) {
    TG_TRY(check_name(name, "regions"));
  }
  std::ranges::sort(names);
  const auto repeated = std::ranges::unique(names);
  names.erase(repeated.begin(), repeated.end());
  if (names.size() > kRegionsMax) {
    return fail(Code::kInvalidArgument, "bad_regions", fmt::format("a tenant has at most {} regions", kRegionsMax),
                "regions");
  }
  return names;
}

Status check_key(const std::string& name, const std::vector<std::string>& models, Wall now, const std::optional<Wall>& expires) {
  if (!is_text(name, kTextMax)) {
    return fail(Code::kInvalidArgument, "bad_name", fmt::format("name must be text of at most {} bytes", kTextMax), "name");
  }
  if (models.size() > kModelsMax) {
    return fail(Code::kInvalidArgument, "bad_models", fmt::format("at most {} models may be listed", kModelsMax), "models");
  }
  for (const auto& model : models) {
    if (model.empty() || !is_text(model, kTextMax)) {
      return fail(Code::kInvalidArgument, "bad_models", fmt::format("a model's name is text of 1 to {} bytes", kTextMax), "models");
    }
  }
  if (expires && *expires <= now) {
    return fail(Code::kInvalidArgument, "bad_expiry", "the key would expire in the past", "expires_us");
  }
  return {};
}

Status check_note(const std::string& note) {
  if (is_text(note, kNoteMax)) return {};
  return fail(Code::kInvalidArgument, "bad_note", fmt::format("note must be text of at most {} bytes", kNoteMax), "note");
}

Status check_share(std::int64_t queue_weight, const std::string& tier_max) {
  if (queue_weight < 1 || queue_weight > kQueueWeightMax) {
    return fail(Code::kInvalidArgument, "bad_share", fmt::format("queue_weight must be 1 to {}", kQueueWeightMax),
                "queue_weight");
  }
  if (tier_max != "flex" && tier_max != "default" && tier_max != "priority") {
    return fail(Code::kInvalidArgument, "bad_share", "tier_max must be flex, default or priority", "tier_max");
  }
  return {};
}

}  // namespace tidegate::billing

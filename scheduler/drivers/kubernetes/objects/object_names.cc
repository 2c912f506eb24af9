#include "scheduler/drivers/kubernetes/objects/object_names.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/core/encoding.h"
#include "base/crypto/sha256.h"

namespace tidegate::scheduler::kube {

namespace {

constexpr std::size_t kNameMax = 47;
constexpr std::size_t kLabelMax = 63;
constexpr std::size_t kDigestChars = 10;

bool is_plain(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool is_dns_label(std::string_view name, std::size_t most) {
  return !name.empty() && name.size() <= most && is_plain(name.front()) && is_plain(name.back()) &&
         std::all_of(name.begin(), name.end(), [](char c) { return is_plain(c) || c == '-'; });
}

std::string object_name(std::string_view prefix, std::string_view name) {
  std::string whole = fmt::format("{}-{}", prefix, name);
  if (is_dns_label(whole, kNameMax)) return whole;
  std::string stem;
  for (const char c : whole) stem += is_plain(c) ? c : '-';
  if (stem.size() > kNameMax - kDigestChars - 1) stem.resize(kNameMax - kDigestChars - 1);
  return fmt::format("{}-{}", stem, hex_encode(as_view(sha256(name))).substr(0, kDigestChars));
}

}  // namespace

std::string workload_name(std::string_view replica) { return object_name("tg", replica); }
std::string deployment_object_name(std::string_view deployment) { return object_name("tgd", deployment); }
std::string lease_name(std::string_view installation) { return object_name("tgl", installation); }

std::string our_selector(std::string_view installation) {
  return fmt::format("{}=tidegate,{}={}", kManagedByLabel, kInstallationLabel, installation);
}

Status check_dns_label(std::string_view name, std::string_view option) {
  if (is_dns_label(name, kLabelMax)) return {};
  return fail(Code::kInvalidArgument, "bad_config",
              fmt::format("{} is '{}': use 1 to {} of a-z, 0-9 and '-', with a letter or digit first and last", option,
                          name.substr(0, 80), kLabelMax),
              std::string(option));
}

}  // namespace tidegate::scheduler::kube

#include "worker/format/weight_manifest.h"

#include <fmt/format.h>

#include "base/json/json.h"

namespace tidegate::worker {
namespace {

constexpr std::string_view kDigestPrefix = "sha256:";
constexpr std::size_t kDigestDigits = 64;

std::unexpected<Error> bad_manifest(std::string_view what, std::string_view field = {}) {
  return fail(Code::kInvalidArgument, "bad_manifest", fmt::format("manifest.json: {}", what), std::string(field));
}

bool is_digest(std::string_view text) {
  if (!text.starts_with(kDigestPrefix) || text.size() != kDigestPrefix.size() + kDigestDigits) return false;
  return text.find_first_not_of("0123456789abcdef", kDigestPrefix.size()) == std::string_view::npos;
}

}  // namespace

Result<std::string> manifest_digest(std::string_view text) {
  if (text.size() > kManifestBytesMax) {
    return bad_manifest(fmt::format("{} bytes; at most {} are allowed", text.size(), kManifestBytesMax));
  }
  const auto document = json::parse(text);
  if (!document) return bad_manifest(document.error().message);
  if (!document->is_object()) return bad_manifest("not an object");
  const auto version = json::get_int(document->get_object(), "manifest_version");
  if (!version) return bad_manifest(version.error().message, version.error().field);
  if (*version != kManifestVersion) {
    return bad_manifest(fmt::format("'manifest_version' is {}, not {}", *version, kManifestVersion), "manifest_version");
  }
  auto digest = json::get_string(document->get_object(), "weights_digest");
  if (!digest) return bad_manifest(digest.error().message, digest.error().field);
  if (!is_digest(*digest)) return bad_manifest("'weights_digest' is not sha256: and 64 digits", "weights_digest");
  return *std::move(digest);
}

}  // namespace tidegate::worker

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/core/result.h"

namespace tidegate::worker {

/// A manifest.json beside weights is a page at most: names, counts, digests.
inline constexpr std::uint64_t kManifestBytesMax = 1 << 20;
inline constexpr std::int64_t kManifestVersion = 1;

/// The digest of the weights that a manifest.json was written beside: "sha256:" and 64 digits. Fails:
/// invalid_argument/bad_manifest with the member in Error::field (too long, no JSON, another version, no such digest).
Result<std::string> manifest_digest(std::string_view text);

}  // namespace tidegate::worker

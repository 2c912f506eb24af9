#pragma once

#include <string>
#include <string_view>

#include "base/core/random.h"
#include "base/core/result.h"
#include "base/crypto/sha256.h"

/// AES-256-GCM (NIST SP 800-38D) from OpenSSL, for what is kept where others may look.
namespace tidegate {

/// One byte of format, 12 of nonce, the cipher text, 16 of tag: 29 bytes longer than `plain`. `context` is not stored
/// but must be given again to open: a box cannot be passed off as another one's. Nonces are random, so one key seals at
/// most 2^32 boxes. `plain` is below 2 GiB.
std::string seal_box(const Digest& key, std::string_view plain, std::string_view context, EntropySource& entropy);

/// Fails: data_loss/bad_seal for another key, another context, a changed or a cut box: one answer for all.
Result<std::string> open_box(const Digest& key, std::string_view box, std::string_view context);

}  // namespace tidegate

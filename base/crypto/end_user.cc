#include "base/crypto/end_user.h"

#include <algorithm>
#include <string>

#include "base/crypto/sha256.h"

namespace tidegate {

Uuid end_user_id(std::string_view pepper, TenantId tenant, std::string_view user) {
  // The label keeps these apart from the MACs of keys, which use the same pepper.
  std::string text = "tidegate end user\n";
  text += tenant.raw();
  text += user;
  const Digest digest = hmac_sha256(pepper, text);
  Uuid id;
  std::copy_n(digest.begin(), id.bytes.size(), id.bytes.begin());
  return id;
}

}  // namespace tidegate

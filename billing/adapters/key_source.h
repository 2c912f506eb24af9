#pragma once

#include <memory>
#include <string>

#include "base/core/result.h"

/// Where the public keys of an identity provider come from.
namespace tidegate::billing {

/// Thread-safe.
class KeySource {
 public:
  virtual ~KeySource() = default;
  /// The text of a JWKS. May block for seconds. Fails: unavailable/keys_unreachable.
  virtual Result<std::string> load() = 0;
  /// Another value than before: what load() would give may have changed. Does not block; "" when nobody can tell.
  virtual std::string stamp() const = 0;
};

/// A local file; its stamp is its inode, size and time of change.
std::unique_ptr<KeySource> make_key_file(std::string path);

struct KeyUrl {
  std::string url;
  std::string ca_file;  ///< PEM of the authorities that sign the provider's certificate; empty: the system's
};
/// One GET, five seconds at most. The operator's own configuration names the address, nobody's request can; it follows
/// no redirect, uses no proxy, and reads no more than a set of keys may have.
std::unique_ptr<KeySource> make_key_url(KeyUrl from);

/// https, a host, no user or password in it; http only to this machine itself (127.0.0.1, [::1], localhost).
/// Fails: invalid_argument/bad_key_url.
Status check_key_url(const std::string& url);

}  // namespace tidegate::billing

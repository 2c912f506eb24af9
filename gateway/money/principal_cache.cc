#include "gateway/money/principal_cache.h"

namespace tidegate::gateway {
namespace {

std::unexpected<Error> invalid_key() {
  return fail(Code::kUnauthenticated, "invalid_api_key",
              "the API key is not valid; send it as 'Authorization: Bearer tgk_...'");
}

}  // namespace

PrincipalCache::PrincipalCache(std::string_view pepper, const Clock& clock)
    : pepper_(pepper), clock_(clock), table_(std::make_shared<const KeyTable>()) {}

void PrincipalCache::replace(std::shared_ptr<const KeyTable> table) {
  table_.set(std::move(table));
  is_loaded_.store(true, std::memory_order_release);
}

Result<std::shared_ptr<const Principal>> PrincipalCache::authenticate(std::string_view key_text,
                                                                      const KeyUse& use) const {
  const auto parsed = parse_api_key(key_text);
  if (!parsed || parsed->kind != KeyKind::kTenant) return invalid_key();
  if (!is_loaded()) {
    return fail(Code::kUnavailable, "keys_not_loaded", "this gateway is still loading accounts; try again soon");
  }
  const auto table = table_.get();
  const auto found = table->find(parsed->public_id);
  // The MAC is computed and compared for an unknown id as well: what it costs is the same.
  static const std::string kNobody(32, '\0');
  const Digest mac = pepper_.of(key_text);
  const bool is_known = found != table->end();
  const bool is_equal = equal_constant_time(as_view(mac), is_known ? found->second.mac : kNobody);
  if (!is_known || !is_equal || clock_.wall() >= found->second.expires) return invalid_key();
  if (found->second.is_suspended) {
    return fail(Code::kPermissionDenied, "tenant_suspended", "this account is suspended; ask its administrator");
  }
  TG_TRY(check_use(found->second.principal->policy, use));
  return found->second.principal;
}

}  // namespace tidegate::gateway

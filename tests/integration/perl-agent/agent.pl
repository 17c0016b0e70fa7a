# The agent contract without siplab's library: what a line must be comes from `siplab vendor schema`, the rest from docs/reference/agent-contract.md.
use v5.36;
use builtin qw(created_as_number);
no warnings 'experimental::builtin';
use JSON::PP;
use Time::HiRes 'time';

use constant MAX_LINE => 64 * 1024;
my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my $schema = do { local (@ARGV, $/) = '/schema.json'; $json->decode(<>)->{'$defs'} };
my %can = map { $_ => 1 } qw(hello shutdown reset stats account.add account.remove register unregister
    call.invite call.ring call.answer call.reject call.cancel call.bye media.play media.record);
my (%accounts, %calls, $count);

sub say_line ($message) { syswrite STDOUT, $json->encode($message) . "\n" }
sub event ($name, %members) { say_line({event => $name, t => time, source => 'native', %members}) }
sub fail ($id, $code, $message) { say_line({id => $id, error => {code => $code, message => $message}}) }

sub number ($value) { defined $value && !ref $value && created_as_number($value) }

my %type = (
    object => sub ($v) { ref $v eq 'HASH' },
    array => sub ($v) { ref $v eq 'ARRAY' },
    string => sub ($v) { defined $v && !ref $v && !number($v) },
    boolean => sub ($v) { JSON::PP::is_bool($v) },
    number => sub ($v) { number($v) },
    integer => sub ($v) { number($v) && $v == int $v },
    null => sub ($v) { !defined $v },
);

# Whether a value is what its schema says: the keywords that the contract's schema uses for parameters.
sub fits ($rule, $value) {
    return !!grep { fits($_, $value) } $rule->{anyOf}->@* if $rule->{anyOf};
    return !!grep { $json->encode($_) eq $json->encode($value) } $rule->{enum}->@* if $rule->{enum};
    return 0 if $rule->{type} && !$type{$rule->{type}}->($value);
    return 0 if exists $rule->{minimum} && $value < $rule->{minimum};
    return 0 if exists $rule->{maximum} && $value > $rule->{maximum};
    return 0 if exists $rule->{minLength} && length $value < $rule->{minLength};
    return 1 if !exists $rule->{pattern};
    my $pattern = $rule->{pattern} =~ s/\\u([0-9a-f]{4})/\\x{$1}/gr =~ s/\$\z/\\z/r;
    return $value =~ /$pattern/;
}

# The first parameter that is missing or wrong, or nothing.
sub wrong_member ($method, $params) {
    my $rule = $schema->{"request:$method"}{properties}{params};
    my ($missing) = grep { !exists $params->{$_} } ($rule->{required} // [])->@*;
    return $missing if $missing;
    my ($wrong) = grep { exists $params->{$_} && !fits($rule->{properties}{$_}, $params->{$_}) } sort keys $rule->{properties}->%*;
    return $wrong;
}

sub reset_all {
    event('call.state', call => $_, state => 'terminated', reason => 'reset') for sort keys %calls;
    %calls = %accounts = ();
}

sub answer ($method, $params) {
    return {contract => 1, vendor => 'perl-agent', version => "$^V", capabilities => []} if $method eq 'hello';
    return {calls => [sort keys %calls]} if $method eq 'stats';
    return {recording => 'r' . ++$count} if $method eq 'media.record';
    if ($method eq 'account.add') { $accounts{my $id = 'a' . ++$count} = 1; return {account => $id} }
    if ($method eq 'call.invite') { $calls{my $id = 'c' . ++$count} = 1; return {call => $id} }
    delete $accounts{$params->{account}} if $method eq 'account.remove';
    reset_all() if $method eq 'reset';
    return {};
}

sub serve ($line) {
    my $request = length $line > MAX_LINE ? undef : eval { $json->decode($line) };
    return fail(undef, 'bad-params', 'a request is a JSON object on a line of at most 64 KiB') if ref $request ne 'HASH';
    my ($id, $method, $params) = ($request->{id}, $request->{method}, $request->{params} // {});
    return fail(undef, 'bad-params', 'id: an integer or a string') if !$type{integer}->($id) && !$type{string}->($id);
    return fail($id, 'bad-params', 'method: a text') if !$type{string}->($method);
    return fail($id, 'bad-params', 'params: an object') if ref $params ne 'HASH';
    return fail($id, 'unsupported', 'no such method') if !$schema->{"request:$method"};
    my $wrong = wrong_member($method, $params);
    return fail($id, 'bad-params', "$wrong: missing, or not what it has to be") if $wrong;
    for ([account => \%accounts], [call => \%calls], [replaces => \%calls]) {
        my ($name, $known) = @$_;
        my $kind = $name eq 'account' ? 'account' : 'call';
        return fail($id, "unknown-$kind", "$name: there is none of that name") if defined $params->{$name} && !$known->{$params->{$name}};
    }
    return fail($id, 'unsupported', 'this agent cannot do it') if !$can{$method};
    my $result = answer($method, $params);
    say_line({id => $id, result => $result});
    event('call.state', call => $result->{call}, state => 'calling') if $method eq 'call.invite';
    exit 0 if $method eq 'shutdown';
}

$SIG{TERM} = sub { exit 0 };
while (my $line = <STDIN>) { chomp $line; serve($line) }

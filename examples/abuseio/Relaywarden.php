<?php

namespace AbuseIO\Findcontact;

use AbuseIO\Models\Contact;

/**
 * Finds the contact for an address through relaywarden. AbuseIO asks about the address alone, without a time, so the answer is
 * about now: for a report that is hours old on an address that changes hands, ask by hand.
 */
class Relaywarden
{
    private const SOCKET = '/run/relaywarden/api.sock';

    public function getContactByIp($ip)
    {
        $curl = curl_init('http://localhost/v1/resolver/abuseio?ip=' . rawurlencode($ip));
        curl_setopt_array($curl, [
            CURLOPT_UNIX_SOCKET_PATH => self::SOCKET,
            CURLOPT_RETURNTRANSFER => true,
            CURLOPT_TIMEOUT => 10,
        ]);
        $body = curl_exec($curl);
        $status = curl_getinfo($curl, CURLINFO_RESPONSE_CODE);
        curl_close($curl);
        // 404: nobody can be named.
        $answer = $status === 200 ? json_decode($body, true) : null;
        if (!is_array($answer) || empty($answer['reference'])) {
            return false;
        }
        return $this->contact($answer['reference']);
    }

    /** Name and mail address come from your customer database. */
    private function contact($reference)
    {
        $contact = new Contact();
        $contact->account_id = 1;
        $contact->reference = $reference;
        $contact->name = $reference;
        $contact->email = $reference;
        $contact->enabled = true;
        $contact->auto_notify = false;
        return $contact;
    }
}
